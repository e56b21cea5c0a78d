/* SPDX-License-Identifier: BSD-3-Clause */

/* Packet filters that keep what the rules match from them, for every client */

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../filter/passage.h"
#include "doctor.h"

/* So many matches are looked at, each with one packet */
#define MATCHES_MAX 64

struct sampled {
	size_t n, n_undecided;
	bool all, no_address;
	const struct rule *rule; /* of the first that is not decided */
	char packet[2 * ENDPOINT_TEXT_MAX];
};

/* A match of any address is asked about with an address of this host. Return: is there one? */
static bool find_address(int family, uint8_t address[static 16])
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *item = all; item && !found; item = item->ifa_next) {
		if (!item->ifa_addr || item->ifa_addr->sa_family != family ||
			(item->ifa_flags & IFF_LOOPBACK))
			continue;
		found = true;
		if (family == AF_INET)
			memcpy(address, &((const struct sockaddr_in *)item->ifa_addr)->sin_addr, 4);
		else
			memcpy(address, &((const struct sockaddr_in6 *)item->ifa_addr)->sin6_addr, 16);
	}
	freeifaddrs(all);
	return found;
}

/* The second address of a network, or the only one */
static bool choose_address(const struct rule_match *match, int family, uint8_t address[static 16])
{
	memcpy(address, match->prefix.address, 16);
	if (match->prefix.family == AF_UNSPEC || match->prefix.length == 0)
		return find_address(family, address);
	if (!prefix_is_address(&match->prefix))
		address[address_size(family) - 1] |= 1;
	return true;
}

static void report_act(
	struct doctor *doctor, const struct rule *rule, const char *packet, const struct act *act, int family)
{
	char text[ACT_TEXT_MAX], command[ACT_TEXT_MAX];

	doctor_found(doctor, REPORT_WARN, "'%s' gets nothing at %s from other hosts: %s", rule->name, packet,
		act_format(act, family, text));
	doctor_remedy(doctor, "if it should, change that: %s; '%s explain' shows what becomes of a packet",
		act_format_command(act, command), doctor->command);
}

static int look_at_packet(struct doctor *doctor, struct ruleset *ruleset, const struct rule *rule,
	const struct rule_match *match, int family, struct sampled *sampled)
{
	_cleanup_(acts_deinit) struct acts acts = ACTS_NULL;
	uint8_t address[16];
	const struct probe_question question = {
		.family = family, .protocol = match->protocol, .destination = address, .port = match->first};
	char packet[2 * ENDPOINT_TEXT_MAX], endpoint[ENDPOINT_TEXT_MAX];
	const struct act *certain;
	int r;

	if (!choose_address(match, family, address))
		return 0;
	(void)snprintf(packet, sizeof(packet), "%s %s", protocol_word(match->protocol),
		endpoint_format(family, address, match->first, endpoint));
	r = passage_follow(ruleset, &question, &acts);
	if (r)
		return r;
	sampled->n++;
	certain = acts_certain(&acts, false);
	if (!certain)
		certain = acts_certain(&acts, true);
	/* a program that a queue asks, or a transparent socket, may leave the packet to the rule */
	if (certain && !act_keeps(certain) && certain->kind != ACT_SENT)
		certain = NULL;
	if (certain) {
		report_act(doctor, rule, packet, certain, family);
	} else if (acts.n) {
		if (!sampled->n_undecided++) {
			sampled->rule = rule;
			(void)snprintf(sampled->packet, sizeof(sampled->packet), "%s", packet);
		}
	}
	return 0;
}

static int look_at_match(struct doctor *doctor, struct ruleset *ruleset, const struct rule *rule,
	const struct rule_match *match, struct sampled *sampled)
{
	size_t before;
	int r;

	if (sampled->n >= MATCHES_MAX) {
		sampled->all = false;
		return 0;
	}
	if (match->prefix.family != AF_UNSPEC)
		return look_at_packet(doctor, ruleset, rule, match, match->prefix.family, sampled);
	before = sampled->n;
	r = look_at_packet(doctor, ruleset, rule, match, AF_INET, sampled);
	if (!r)
		r = look_at_packet(doctor, ruleset, rule, match, AF_INET6, sampled);
	sampled->no_address = sampled->no_address || sampled->n == before;
	return r;
}

static int look_at_rules(struct doctor *doctor, struct ruleset *ruleset)
{
	struct sampled sampled = {.all = true};
	size_t before = doctor->report.n;
	int r = 0;

	for (size_t i = 0; i < doctor->set->n_rules && !r; i++)
		for (size_t j = 0; j < doctor->set->rules[i].n_matches && !r; j++)
			r = look_at_match(doctor, ruleset, &doctor->set->rules[i],
				&doctor->set->rules[i].matches[j], &sampled);
	if (r)
		return r;
	if (sampled.n_undecided) {
		doctor_found(doctor, REPORT_INFO,
			"packet filters may act on some packets to '%s', for example %s, which depends on what is not known here; packets like that: %zu",
			sampled.rule->name, sampled.packet, sampled.n_undecided);
		doctor_remedy(doctor, "%s explain %s", doctor->command, sampled.packet);
	}
	if (!sampled.all)
		doctor_found(doctor, REPORT_SKIP,
			"only the first %d matches were looked at; ask '%s explain' about the others",
			MATCHES_MAX, doctor->command);
	else if (sampled.no_address)
		doctor_found(doctor, REPORT_SKIP,
			"matches of any address were not looked at: this host has no address but loopback ones");
	else if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"no rule of nf_tables drops or redirects the first packet to any match; one address and port of each was looked at");
	return 0;
}

/* ---- what is not followed */

static void report_unseen(struct doctor *doctor, int family)
{
	_cleanup_(passage_deinit) struct passage passage = PASSAGE_NULL;
	const uint8_t any[16] = {0};
	const struct probe_question question = {
		.family = family, .protocol = IPPROTO_TCP, .destination = any, .port = 1};
	char text[UNSEEN_TEXT_MAX];

	if (passage_read(&question, &passage) < 0) {
		doctor->report.out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < passage.n_unseen; i++) {
		/* devices are the same for both families */
		if (family == AF_INET6 && passage.unseen[i].kind != UNSEEN_LEGACY)
			continue;
		doctor_found(
			doctor, REPORT_SKIP, "not looked at: %s", unseen_format(&passage.unseen[i], text));
		doctor_remedy(doctor, "see whether they keep packets from the rules: %s",
			unseen_format_command(&passage.unseen[i], family, text));
	}
	if (passage.unknown.error)
		doctor_found(doctor, REPORT_SKIP, "%s", passage.unknown.text);
	if (passage.devices_unknown.error && family == AF_INET)
		doctor_found(doctor, REPORT_SKIP, "%s", passage.devices_unknown.text);
}

static void check_filters(struct doctor *doctor)
{
	struct ruleset ruleset = RULESET_NULL;
	struct refusal refusal;
	int r;

	if (doctor_skips_unread(doctor) || doctor_skips_elsewhere(doctor) ||
		doctor_skips_unprivileged(doctor))
		return;
	r = ruleset_read(&ruleset, &refusal);
	if (!r)
		r = look_at_rules(doctor, &ruleset);
	if (r < 0)
		doctor->report.out_of_memory = true;
	else if (r)
		doctor_found(doctor, REPORT_SKIP, "packet filters were not looked at: %s", refusal.text);
	ruleset_deinit(&ruleset);
	report_unseen(doctor, AF_INET);
	report_unseen(doctor, AF_INET6);
}

const struct check filter_checks[] = {
	{"filters", check_filters},
	{},
};

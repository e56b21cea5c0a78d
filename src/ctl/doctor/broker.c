/* SPDX-License-Identifier: BSD-3-Clause */

/* What the broker says about itself */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/netns.h"
#include "../../util/text.h"
#include "../../wire/protocol.h"
#include "doctor.h"

#define SEE_BPFTOOL "see 'bpftool net' and 'bpftool link'; no two of them should match the same ports"

static void check_answer(struct doctor *doctor)
{
	if (!doctor->answer.r) {
		doctor_found(doctor, REPORT_OK, "usherd %s, pid %s, answers on %s",
			ask_value(&doctor->client, KEY_VERSION, "?"),
			ask_value(&doctor->client, KEY_PID, "?"), doctor->ctl->socket);
		return;
	}
	doctor_found(doctor, REPORT_FAIL, "%s", doctor->answer.why.text);
	doctor_remedy(doctor, "systemctl %s %s; see 'journalctl -u %s'",
		doctor->answer.r == CLIENT_ABSENT ? "start" : "restart", doctor->service, doctor->service);
}

static bool skips_silent(struct doctor *doctor)
{
	if (doctor->answer.r)
		doctor_found(doctor, REPORT_SKIP, "there is no broker to ask");
	return doctor->answer.r;
}

/* An answer without the key is no answer: an earlier broker, or a kernel that did not tell the broker. */
static bool skips_unreported(struct doctor *doctor, enum message_key key)
{
	bool missing = !message_get(&doctor->client.message, key);

	if (missing)
		doctor_found(doctor, REPORT_SKIP,
			"the broker does not report it (%s=): this kernel does not let it look, or it is of an earlier version",
			key_word(key));
	return missing;
}

static void check_version(struct doctor *doctor)
{
	const char *version = ask_value(&doctor->client, KEY_VERSION, "?");
	unsigned long protocol = doctor_number(doctor, KEY_PROTOCOL),
		      schema = doctor_number(doctor, KEY_SCHEMA);

	if (skips_silent(doctor))
		return;
	if (strcmp(version, USHER_VERSION) == 0 && protocol == PROTOCOL_VERSION && schema == USHER_SCHEMA) {
		doctor_found(doctor, REPORT_OK, "usherd and usherctl have the same version");
		return;
	}
	doctor_found(doctor, REPORT_WARN,
		"usherd is %s (protocol %lu, schema %lu), but usherctl is %s (protocol %u, schema %u)",
		version, protocol, schema, USHER_VERSION, PROTOCOL_VERSION, USHER_SCHEMA);
	doctor_remedy(
		doctor, "restart usherd, which predates an upgrade: systemctl restart %s", doctor->service);
}

static void check_dispatch(struct doctor *doctor)
{
	if (skips_silent(doctor) || skips_unreported(doctor, KEY_NETNS))
		return;
	if (strcmp(ask_value(&doctor->client, KEY_NETNS, "?"), "0") != 0) {
		doctor_found(doctor, REPORT_OK, "program %s is attached to network namespace %s",
			ask_value(&doctor->client, KEY_PROGRAM, "?"),
			ask_value(&doctor->client, KEY_NETNS, "?"));
		return;
	}
	doctor_found(doctor, REPORT_FAIL, "somebody detached link %s: nothing is dispatched",
		ask_value(&doctor->client, KEY_LINK, "?"));
	doctor_remedy(doctor, "%s reload, which attaches it again", doctor->command);
}

static void check_namespace(struct doctor *doctor)
{
	unsigned long own;

	if (skips_silent(doctor))
		return;
	if (!doctor_number(doctor, KEY_NETNS) || netns_read_inode(&own) < 0) {
		doctor_found(doctor, REPORT_SKIP,
			"which network namespace usherd serves was not looked at: %s",
			doctor_number(doctor, KEY_NETNS) ? "/proc/self/ns/net cannot be read"
							 : "the broker's program is attached to none");
		return;
	}
	if (!doctor->other_network) {
		doctor_found(doctor, REPORT_OK, "usherctl runs in the network namespace that usherd serves");
		return;
	}
	doctor_found(doctor, REPORT_WARN,
		"usherd serves network namespace %s, but usherctl runs in another one: the sockets and routes there are not checked",
		ask_value(&doctor->client, KEY_NETNS, "?"));
	doctor_remedy(doctor, "nsenter --net=/proc/%s/ns/net %s doctor",
		ask_value(&doctor->client, KEY_PID, "PID"), doctor->command);
}

static uint64_t count_chosen_before(const struct doctor *doctor)
{
	uint64_t n = 0;

	for (size_t i = 0; i < doctor->seats.n; i++)
		n += doctor->seats.items[i].counters[SEAT_REFUSED_EXISTS];
	return n;
}

static void check_programs(struct doctor *doctor)
{
	unsigned long n = doctor_number(doctor, KEY_PROGRAMS);
	uint64_t before = count_chosen_before(doctor);

	if (skips_silent(doctor) || skips_unreported(doctor, KEY_PROGRAMS))
		return;
	if (n <= 1) {
		doctor_found(doctor, REPORT_OK, "no other sk_lookup program runs in this network namespace");
		return;
	}
	doctor_found(doctor, REPORT_WARN,
		"%lu more sk_lookup program%s in this network namespace and may decide differently; packets that another program has decided first: %lu",
		n - 1, n == 2 ? " runs" : "s run", (unsigned long)before);
	doctor_remedy(doctor, SEE_BPFTOOL);
}

static void check_reload(struct doctor *doctor)
{
	enum reload_outcome reload = RELOAD_OK;

	if (skips_silent(doctor) || skips_unreported(doctor, KEY_RELOAD))
		return;
	(void)reload_from_word(message_get(&doctor->client.message, KEY_RELOAD), &reload);
	if (reload == RELOAD_OK) {
		doctor_found(doctor, REPORT_OK, "the last reload succeeded");
		return;
	}
	doctor_found(doctor, REPORT_FAIL, "the last reload failed, so older rules are in force: %s",
		ask_value(&doctor->client, KEY_RELOAD_REASON, "?"));
	doctor_remedy(doctor, "fix that, then %s check && %s reload", doctor->command, doctor->command);
}

/* Does any name with a rule lack sockets altogether? */
static bool is_any_missing(const struct doctor *doctor)
{
	const struct seats *seats = &doctor->seats;
	size_t n_places = 0;

	for (size_t i = 0; i < seats->n; i++) {
		bool last = i + 1 == seats->n || strcmp(seats->items[i].name, seats->items[i + 1].name) != 0;

		n_places += seats->items[i].n_places;
		if (last && !n_places)
			return true;
		if (last)
			n_places = 0;
	}
	return false;
}

static unsigned long count_refused(const struct doctor *doctor)
{
	const char *at = ask_value(&doctor->client, KEY_HAND_INS_REFUSED, "");
	unsigned long total = 0, n;
	int length;

	/* "E2BIG:0 EACCES:3 other:0" */
	for (; sscanf(at, " %*[^:]:%lu%n", &n, &length) == 1; at += length)
		total += n;
	return total;
}

static void check_hand_ins(struct doctor *doctor)
{
	const char *reason = message_get(&doctor->client.message, KEY_HAND_IN_REFUSED);
	unsigned long n;

	if (skips_silent(doctor) || skips_unreported(doctor, KEY_HAND_INS_REFUSED))
		return;
	n = count_refused(doctor);
	if (!n) {
		doctor_found(doctor, REPORT_OK, "no hand-in has been refused since usherd started");
		return;
	}
	if (!reason) {
		doctor_found(doctor, REPORT_INFO,
			geteuid()
				? "hand-ins refused since usherd started, none of them recently that concerns this user: %lu"
				: "hand-ins refused since usherd started, none of them recently: %lu",
			n);
		return;
	}
	/* it may be a stranger's; when a socket is missing, it probably is the service's */
	doctor_found(doctor, is_any_missing(doctor) ? REPORT_WARN : REPORT_INFO,
		"the last refused hand-in was as '%s' by uid %s: %s",
		ask_value(&doctor->client, KEY_HAND_IN_REFUSED_NAME, "?"),
		ask_value(&doctor->client, KEY_HAND_IN_REFUSED_UID, "?"), reason);
	doctor_remedy(doctor, "fix that, then restart the service; 'journalctl -u %s' shows all %lu",
		doctor->service, n);
}

static void check_events(struct doctor *doctor)
{
	unsigned long lost = doctor_number(doctor, KEY_EVENTS_LOST);

	if (skips_silent(doctor) || skips_unreported(doctor, KEY_EVENTS_LOST))
		return;
	if (!lost)
		doctor_found(doctor, REPORT_OK, "no event has been lost");
	else
		doctor_found(doctor, REPORT_INFO,
			"events lost: %lu; the journal does not have everything, but the counters do", lost);
}

static bool has_later_order(const struct doctor *doctor)
{
	for (size_t i = 0; doctor->set && i < doctor->set->n_rules; i++)
		if (doctor->set->rules[i].order != RULE_FIRST)
			return true;
	return false;
}

/* What is counted for rules with a later order */
static void check_order(struct doctor *doctor)
{
	const char *reason, *ports;

	if (skips_silent(doctor) || skips_unreported(doctor, KEY_YIELDED))
		return;
	reason = ask_value(&doctor->client, KEY_BLIND, NULL);
	ports = ask_value(&doctor->client, KEY_UNCOUNTED, NULL);
	if (reason) {
		doctor_found(doctor, REPORT_FAIL,
			"rules with a later order take nothing, since the sockets of others are not counted: %s",
			reason);
		doctor_remedy(doctor,
			"correct that, then systemctl restart %s; or remove Order= from the rules",
			doctor->service);
	}
	if (ports) {
		doctor_found(doctor, REPORT_WARN,
			"rules with a later order take nothing at %s: more sockets of others are bound there than can be counted",
			ports);
		doctor_remedy(
			doctor, "ss -ltnup shows the sockets; close some, or remove Order= from the rule");
	}
	if (!reason && !ports)
		doctor_found(doctor, REPORT_OK,
			has_later_order(doctor)
				? "the sockets of others are counted for the rules with a later order"
				: "no rule has a later order");
}

const struct check broker_checks[] = {
	{"answer", check_answer},
	{"version", check_version},
	{"dispatch", check_dispatch},
	{"namespace", check_namespace},
	{"programs", check_programs},
	{"reload", check_reload},
	{"hand-ins", check_hand_ins},
	{"events", check_events},
	{"order", check_order},
	{},
};

/* SPDX-License-Identifier: BSD-3-Clause */
#include "passage_faults.h"

#include <net/if.h>
#include <stdio.h>

#include "../../util/transport.h"

#define ACTS_MAX 8 /* of those that may happen, this many are shown */

static void show_chain(const struct act *act, const char *what, struct finding *finding)
{
	char command[ACT_TEXT_MAX];

	finding_remedy(finding, "%s", what);
	finding_command(finding, "%s", act_format_command(act, command));
}

static void find_certain(const struct evidence *evidence, const struct act *act, struct findings *findings)
{
	bool lost = act_keeps(act) || (act->kind == ACT_SENT && evidence_is_sent_away(evidence));
	struct finding *finding;
	char text[ACT_TEXT_MAX];

	finding = findings_add(findings, lost ? FINDING_FAIL : FINDING_WARN, "filter",
		act->kind == ACT_SENT && evidence->passage->sent
			? "%s, before any rule of usher is applied: the rest is about that destination"
			: "%s, before any rule of usher is applied",
		act_format(act, evidence->asked->family, text));
	show_chain(act,
		act_keeps(act)
			? "if it should arrive, have a rule before that one accept it; this lists the chain:"
			: "if usher should decide about it, change that rule; this lists the chain:",
		finding);
}

/* The destination that a rule gives the packet */
static void find_loopback(const struct evidence *evidence, struct findings *findings)
{
	struct finding *finding;

	if (evidence->passage->loopback == LOOPBACK_FINE)
		return;
	finding = findings_add(findings,
		evidence->passage->loopback == LOOPBACK_DROPPED ? FINDING_FAIL : FINDING_NOTE, "loopback",
		evidence->passage->loopback == LOOPBACK_DROPPED
			? "the kernel drops packets of other hosts to %s: it is a loopback address, and net.ipv4.conf.*.route_localnet is 0"
			: "not decided: whether the kernel drops the packet, which depends on its device: %s is a loopback address, and net.ipv4.conf.*.route_localnet is 1 for some",
		evidence->asked->text);
	finding_remedy(finding,
		"have that rule send packets to another address of this host, which may be one of a dummy interface; route_localnet exposes whatever listens on loopback addresses");
}

/* The question again, with what the rule depends on */
static void suggest_question(const struct evidence *evidence, unsigned causes, struct finding *finding)
{
	const struct asked *asked = evidence->question;
	char device[IF_NAMESIZE + 16] = "", mark[32] = "", name[IF_NAMESIZE];
	const char *from = causes & CAUSE_SOURCE ? "ADDRESS:PORT" : "";

	if (asked->device && if_indextoname(asked->device, name))
		(void)snprintf(device, sizeof(device), " --device %s", name);
	else if (causes & CAUSE_DEVICE)
		(void)snprintf(device, sizeof(device), " --device NAME");
	if (asked->has_mark)
		(void)snprintf(mark, sizeof(mark), " --mark 0x%x", asked->mark);
	if (asked->has_remote)
		from = asked->from;
	finding_remedy(finding, "say what is known of the packet:");
	finding_command(finding, "usherctl explain %s %s%s%s%s%s", protocol_word(asked->protocol),
		asked->text, *from ? " --from " : "", from, device, mark);
}

static void find_possible(const struct evidence *evidence, const struct act *act, struct findings *findings)
{
	struct finding *finding;
	char text[ACT_TEXT_MAX], doubt[ACT_TEXT_MAX];

	finding = findings_add(findings, FINDING_NOTE, "filter-open", "not decided: whether %s; %s",
		act_format(act, evidence->asked->family, text), act_format_doubt(act, doubt));
	if (act->doubt.causes & CAUSE_OTHER)
		show_chain(act, "see what the chain asks for:", finding);
	else
		suggest_question(evidence, act->doubt.causes, finding);
}

static void find_unseen(const struct evidence *evidence, struct findings *findings)
{
	const struct passage *passage = evidence->passage;
	char text[UNSEEN_TEXT_MAX];
	struct finding *finding;

	for (size_t i = 0; i < passage->n_unseen; i++) {
		finding = findings_add(findings, FINDING_NOTE, "not-looked-at", "not looked at: %s",
			unseen_format(&passage->unseen[i], text));
		finding_remedy(finding, "see whether that is about this packet:");
		finding_command(finding, "%s",
			unseen_format_command(&passage->unseen[i], evidence->asked->family, text));
	}
	if (passage->unknown.error) {
		finding = findings_add(findings, FINDING_WARN, "filters-unknown",
			"packet filters were not looked at: %s", passage->unknown.text);
		finding_remedy(finding, "run as root");
	}
	if (passage->devices_unknown.error)
		(void)findings_add(findings, FINDING_WARN, "filters-unknown",
			"programs at devices were not looked at: %s", passage->devices_unknown.text);
}

void passage_faults_find(const struct evidence *evidence, struct findings *findings)
{
	const struct acts *acts = &evidence->passage->acts;
	size_t n = 0, n_possible = 0;

	for (size_t i = 0; i < acts->n; i++)
		if (!acts->items[i].doubt.causes)
			find_certain(evidence, &acts->items[i], findings);
		else if (++n_possible <= ACTS_MAX)
			find_possible(evidence, &acts->items[i], findings);
	n = acts->n_more + (n_possible > ACTS_MAX ? n_possible - ACTS_MAX : 0);
	if (n)
		(void)findings_add(findings, FINDING_NOTE, "filter-open",
			"not decided: whether %zu more rules of packet filters act on it", n);
	find_loopback(evidence, findings);
	find_unseen(evidence, findings);
}

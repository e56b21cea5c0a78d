/* SPDX-License-Identifier: BSD-3-Clause */
#include "diagnosis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/device.h"
#include "../../util/text.h"
#include "../../util/transport.h"
#include "device_faults.h"
#include "guard_faults.h"
#include "notes.h"
#include "passage_faults.h"
#include "reach_faults.h"
#include "seat_faults.h"

void diagnosis_deinit(struct diagnosis *diagnosis)
{
	findings_deinit(&diagnosis->findings);
}

/* ---- the sentence */

#define SAY(...) (void)snprintf(diagnosis->sentence, sizeof(diagnosis->sentence), __VA_ARGS__)

static void say_dispatched(const struct evidence *evidence, const char *packet, struct diagnosis *diagnosis)
{
	const struct explanation *explanation = evidence->explanation;
	const struct explained_place *place = explanation_chosen(explanation);
	const struct place_seen *seen;
	char who[WHO_MAX], address[ENDPOINT_TEXT_MAX];

	diagnosis->arrives = ARRIVAL_YES;
	if (!place) {
		SAY("%s goes to '%s': socket sk:%" PRIx64, packet, explanation->name, explanation->cookie);
		return;
	}
	seen = &evidence->host->places[place - explanation->places];
	(void)evidence_place_format(place, seen, who);
	(void)evidence_place_address(evidence, place, address);
	if (place->stand_in && seen->socket && seen->n_group == 1) {
		SAY("%s is lost: it is for '%s', and the stand-in at %s of %s, which drops it, has no other socket beside it",
			packet, explanation->name, address, who);
		diagnosis->arrives = ARRIVAL_NO;
		return;
	}
	if (place->stand_in && seen->n_group > 1) {
		SAY("%s goes to '%s': a socket of the service at %s, beside the stand-in of %s", packet,
			explanation->name, address, who);
		return;
	}
	if (seen->n_group > 1) {
		SAY("%s goes to '%s': one of %zu sockets at %s of %s", packet, explanation->name,
			seen->n_group, address, who);
		return;
	}
	if (seen->socket && diag_queue_is_full(seen->socket)) {
		SAY("%s is lost: it is for '%s', and the queue of socket sk:%" PRIx64 " at %s of %s is full",
			packet, explanation->name, place->cookie, address, who);
		diagnosis->arrives = ARRIVAL_NO;
		return;
	}
	SAY("%s goes to '%s': socket sk:%" PRIx64 " at %s of %s", packet, explanation->name, place->cookie,
		address, who);
}

static void say_refused(const struct evidence *evidence, const char *packet, struct diagnosis *diagnosis)
{
	const struct explanation *explanation = evidence->explanation;

	if (*explanation->error)
		SAY("%s is refused: no socket of '%s' can take it (%s)", packet, explanation->name,
			explanation->error);
	else
		SAY("%s is refused: '%s' has no socket for %s over %s", packet, explanation->name,
			protocol_name(evidence->asked->protocol), family_name(evidence->asked->family));
}

/* Format with the name and the packet */
static const char *say_obstacle(enum obstacle obstacle)
{
	switch (obstacle) {
	case OBSTACLE_ADDRESS:
		return "Order= of '%s' leaves %s to a socket that is bound to this address";
	case OBSTACLE_ADDRESS_DEVICE:
		return "Order= of '%s' leaves %s to a socket that is bound to this address and device";
	case OBSTACLE_DEVICE:
		return "Order= of '%s' leaves %s to a socket that is bound to this device";
	case OBSTACLE_WILDCARD:
		return "Order= of '%s' leaves %s to a socket that is bound to the port on every address";
	default:
		return "Order= of '%s' leaves %s to others, because not all sockets on the port are counted";
	}
}

/* What the kernel does with the packet when no rule decides */
static void say_passed(const struct evidence *evidence, const char *packet, struct diagnosis *diagnosis)
{
	const struct explanation *explanation = evidence->explanation;
	const struct listener *taker = host_view_taker(evidence->host),
			      *bound = host_view_bound_taker(evidence->host);
	char text[LISTENER_TEXT_MAX], start[320];

	if (!explanation->attached)
		(void)snprintf(start, sizeof(start), "no rule is applied to %s", packet);
	else if (explanation->verdict == VERDICT_NO_RULE)
		(void)snprintf(start, sizeof(start), "no rule matches %s", packet);
	else if (explanation->verdict == VERDICT_YIELDED)
		(void)snprintf(
			start, sizeof(start), say_obstacle(explanation->obstacle), explanation->name, packet);
	else
		(void)snprintf(start, sizeof(start), "'%s' has no %ssocket for %s and passes it on",
			explanation->name, explanation->n_places ? "usable " : "", packet);
	if (taker && diag_queue_is_full(taker->socket)) {
		SAY("%s; it is for %s, whose queue is full", start, evidence_listener_format(taker, text));
	} else if (taker) {
		SAY("%s; it goes to %s", start, evidence_listener_format(taker, text));
		diagnosis->arrives = ARRIVAL_YES;
	} else if (explanation->foreign_namespace || evidence->host->sockets_unknown.error) {
		SAY("%s; what listens there is unknown", start);
		diagnosis->arrives = ARRIVAL_UNDECIDED;
	} else if (bound) {
		SAY("%s; it goes to %s if it comes by that device", start,
			evidence_listener_format(bound, text));
		diagnosis->arrives = ARRIVAL_UNDECIDED;
	} else if (evidence->host->takers.n) {
		SAY("%s, and what listens there gets nothing that comes by that device: it is refused",
			start);
	} else {
		SAY("%s, and nothing listens there: it is refused", start);
	}
}

/* What was not asked decides: the sentence holds under a condition, as of a routing rule, which may fit or not. */
static void say_condition(const char *format, const char *value, struct diagnosis *diagnosis)
{
	char sentence[sizeof(diagnosis->sentence)], condition[128];

	(void)snprintf(sentence, sizeof(sentence), "%s", diagnosis->sentence);
	(void)snprintf(condition, sizeof(condition), format, value);
	SAY("%s: %.800s", condition, sentence);
	if (diagnosis->arrives == ARRIVAL_YES)
		diagnosis->arrives = ARRIVAL_UNDECIDED;
}

static void say(const struct evidence *evidence, struct diagnosis *diagnosis)
{
	const struct reach *reach = &evidence->host->reach;
	const struct act *act = acts_certain(&evidence->passage->acts, false);
	const struct asked *asked = evidence->asked;
	char packet[2 * ENDPOINT_TEXT_MAX + 48], address[INET6_ADDRSTRLEN], device[DEVICE_TEXT_MAX],
		what[ACT_TEXT_MAX];

	(void)snprintf(packet, sizeof(packet), "%s %s%s%s%s%s", protocol_word(asked->protocol), asked->text,
		*asked->from ? " from " : "", asked->from, asked->device ? " by " : "",
		device_format(asked->device, device));
	(void)address_format(asked->family, asked->local, address);
	if (act) {
		SAY(act_keeps(act) ? "%s reaches no socket here: %s" : "packet filters decide about %s: %s",
			packet, act_format(act, evidence->asked->family, what));
		if (!act_keeps(act))
			diagnosis->arrives = ARRIVAL_UNDECIDED;
		return;
	}
	if (!reach->outcome.open && reach->route == ROUTE_DROPPED) {
		SAY("%s reaches no socket here: the kernel drops it", packet);
		return;
	}
	if (!reach->outcome.open && reach_is_away(reach)) {
		SAY("%s reaches no socket here: %s is not a local address", packet, address);
		return;
	}
	if (!reach->outcome.open && reach_is_to_many(reach)) {
		SAY("%s is not dispatched: %s is a %s address", packet, address,
			reach->route == ROUTE_MULTICAST ? "multicast" : "broadcast");
		return;
	}
	if (!evidence->explanation->attached)
		say_passed(evidence, packet, diagnosis);
	else if (evidence->explanation->verdict == VERDICT_DISPATCHED)
		say_dispatched(evidence, packet, diagnosis);
	else if (evidence->explanation->verdict == VERDICT_REFUSED)
		say_refused(evidence, packet, diagnosis);
	else
		say_passed(evidence, packet, diagnosis);
	if (device_is_open(evidence))
		say_condition("if it comes by %s",
			device_format(
				evidence_place_device(evidence, explanation_chosen(evidence->explanation)),
				device),
			diagnosis);
	if (reach->outcome.open)
		say_condition("if the routing rules make %s local", address, diagnosis);
}

/* The unit of the socket does not let it receive the packet. */
static void say_guarded(const struct evidence *evidence, struct diagnosis *diagnosis)
{
	const struct asked *asked = evidence->asked;
	const struct guard *guard = evidence->guard;

	if (guard->verdict != GUARD_REFUSES || diagnosis->arrives == ARRIVAL_NO)
		return;
	SAY("%s %s is lost: it is for a socket of %s, which does not receive it (%s=)",
		protocol_word(asked->protocol), asked->text, guard->unit,
		guard->prefix ? "IPAddressDeny" : "RestrictNetworkInterfaces");
	diagnosis->arrives = ARRIVAL_NO;
}

/* What packet filters do, if it does not decide */
static void say_passage(const struct evidence *evidence, struct diagnosis *diagnosis)
{
	const struct passage *passage = evidence->passage;
	const struct act *act = acts_certain(&passage->acts, true);
	char sentence[sizeof(diagnosis->sentence)], what[ACT_TEXT_MAX];
	const struct asked *question = evidence->question;

	(void)snprintf(sentence, sizeof(sentence), "%s", diagnosis->sentence);
	if (act && !passage->sent) {
		SAY("packet filters decide about %s %s: %s", protocol_word(question->protocol),
			question->text, act_format(act, question->family, what));
		diagnosis->arrives = ARRIVAL_UNDECIDED;
	} else if (act && evidence_is_sent_away(evidence)) {
		SAY(passage->loopback == LOOPBACK_DROPPED
				? "%s %s reaches no socket here: %s, which the kernel does not accept from other hosts"
				: "%s %s reaches no socket here: %s, which is not an address of this host",
			protocol_word(question->protocol), question->text,
			act_format(act, question->family, what));
		diagnosis->arrives = ARRIVAL_NO;
	} else if (act) {
		SAY("packet filters send %s %s to %s: %.800s", protocol_word(question->protocol),
			question->text, evidence->asked->text, sentence);
	}
	if (!passage_is_open(passage) && !guard_is_open(evidence->guard))
		return;
	(void)snprintf(sentence, sizeof(sentence), "%s", diagnosis->sentence);
	SAY("as far as was looked at: %.950s", sentence);
	if (diagnosis->arrives == ARRIVAL_YES || passage_may_send(passage))
		diagnosis->arrives = ARRIVAL_UNDECIDED;
}

/* The files may say something else by now. */
static void say_by_which_rules(const struct evidence *evidence, struct diagnosis *diagnosis)
{
	const struct rule_files *files = evidence->files;
	size_t length = strlen(diagnosis->sentence);

	if (files->rules && files->changed && !*files->refused)
		(void)snprintf(diagnosis->sentence + length, sizeof(diagnosis->sentence) - length, "%s",
			" (by the rules in force; a reload changes that)");
}

/* ---- what applies no rule */

static void find_namespace_fault(const struct evidence *evidence, struct diagnosis *diagnosis)
{
	const struct explanation *explanation = evidence->explanation;
	struct finding *finding;

	if (explanation->foreign_namespace) {
		finding = findings_add(&diagnosis->findings, FINDING_WARN, "namespace",
			"usherd serves another network namespace than this command runs in: the routes and listeners there were not checked");
		finding_remedy(finding, "run it there:");
		finding_command(finding, "nsenter --net=/proc/%d/ns/net usherctl explain %s %s",
			explanation->broker, protocol_word(evidence->asked->protocol), evidence->asked->text);
	}
	if (!explanation->attached) {
		finding = findings_add(&diagnosis->findings, FINDING_FAIL, "detached",
			"somebody detached the link of usherd: no rule is applied");
		finding_remedy(finding, "attach it again:");
		finding_command(finding, "usherctl reload");
	}
}

int diagnosis_make(const struct evidence *evidence, struct diagnosis *ret)
{
	*ret = (struct diagnosis){};
	say(evidence, ret);
	say_guarded(evidence, ret);
	say_passage(evidence, ret);
	say_by_which_rules(evidence, ret);
	text_make_printable(ret->sentence);
	passage_faults_find(evidence, &ret->findings);
	reach_faults_find(evidence, &ret->findings);
	find_namespace_fault(evidence, ret);
	guard_faults_find(evidence, &ret->findings);
	seat_faults_find(evidence, &ret->findings);
	notes_find(evidence, &ret->findings);
	return ret->findings.out_of_memory ? -ENOMEM : 0;
}

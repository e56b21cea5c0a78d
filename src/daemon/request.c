/* SPDX-License-Identifier: BSD-3-Clause */
#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/names.h"
#include "../wire/protocol.h"
#include "hand_in.h"

/*
 * What a request gives back: 0 with the one packet in `packet`, or with `source` filled, or REFUSED, or a negative
 * errno, which the client is told as such.
 */
struct answer {
	struct session *session; /* whose it is */
	struct writer packet;
	struct session_source source;
	struct refusal refusal;
};

/* ---- reload */

struct complaint {
	struct problems problems;
	size_t at;
};

static void complaint_release(void *state)
{
	struct complaint *complaint = state;

	problems_deinit(&complaint->problems);
	free(complaint);
}

static bool complaint_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct complaint *complaint = state;
	const struct problem *problem;
	char text[1024];

	(void)fds;
	(void)n_fds;
	if (complaint->at == complaint->problems.n) {
		writer_put(packet, KEY_ERRNO, "%d", EBADMSG);
		writer_put(packet, KEY_REASON, "%s",
			problem_format(&complaint->problems.items[0], text, sizeof(text)));
		return false;
	}
	problem = &complaint->problems.items[complaint->at++];
	writer_put(packet, KEY_ROW, "1");
	writer_put(packet, KEY_FILE, "%s", problem->file);
	writer_put(packet, KEY_LINE, "%u", problem->line);
	writer_put(packet, KEY_PROBLEM, "%.1000s", problem->text);
	return true;
}

static int complain(struct problems *problems, struct session_source *source)
{
	struct complaint *complaint = calloc(1, sizeof(*complaint));

	if (!complaint)
		return -ENOMEM;
	complaint->problems = *problems;
	*problems = PROBLEMS_NULL;
	*source = (struct session_source){
		.next = complaint_next, .release = complaint_release, .state = complaint};
	return 0;
}

static int reload(struct broker *broker, struct answer *answer)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct rule_changes changes;
	int r;

	r = broker_reload(broker, &changes, &problems, &answer->refusal);
	if (r == BROKER_BAD_RULES)
		return complain(&problems, &answer->source);
	if (r)
		return r;
	writer_put(&answer->packet, KEY_OK, "1");
	writer_put(&answer->packet, KEY_GENERATION, "%" PRIu64, broker->generation->number);
	writer_put(&answer->packet, KEY_RULES, "%zu", broker->generation->rules->n_rules);
	writer_put(&answer->packet, KEY_MATCHES, "%zu", broker->generation->n_matches);
	writer_put(&answer->packet, KEY_ADDED, "%zu", changes.added);
	writer_put(&answer->packet, KEY_REMOVED, "%zu", changes.removed);
	writer_put(&answer->packet, KEY_KEPT, "%zu", changes.kept);
	return 0;
}

static int detach(struct broker *broker, struct answer *answer)
{
	int r = broker_detach(broker, &answer->refusal);

	if (r)
		return r;
	writer_put(&answer->packet, KEY_OK, "1");
	return 0;
}

/* ---- the table of requests */

static const struct request_form {
	bool takes_sockets; /* descriptors may come with it */
	bool identifies;    /* pid and unit of the sender matter */
	bool needs_root;
	bool changes; /* something, so that a refusal concerns the administrator */
} forms[REQUEST_N] = {
	[REQUEST_HAND_IN] = {true, true, false, true},
	[REQUEST_HOLD] = {true, true, false, true},
	[REQUEST_WITHDRAW] = {true, true, false, true},
	[REQUEST_EVICT] = {false, false, true, true},
	[REQUEST_CLAIM] = {false, true, false, true},
	[REQUEST_RELOAD] = {false, false, true, true},
	[REQUEST_DETACH] = {false, false, true, true},
	[REQUEST_MONITOR] = {false, false, true, false},
	[REQUEST_STATUS] = {false, false, false, false},
	[REQUEST_LIST] = {false, false, false, false},
	[REQUEST_RULES] = {false, false, false, false},
	[REQUEST_EXPLAIN] = {false, false, false, false},
};

static bool is_hand_in(enum request_verb verb)
{
	return verb == REQUEST_HAND_IN || verb == REQUEST_HOLD;
}

static int read_verb(const struct intake_request *request, enum request_verb *ret, struct refusal *refusal)
{
	const char *word = message_get(request->message, KEY_REQUEST),
		   *version = message_get(request->message, KEY_VERSION);
	unsigned long number;

	if (version && (text_to_uint(version, 1000000, &number) < 0 || number != PROTOCOL_VERSION))
		return refuse(refusal, EPROTONOSUPPORT,
			"version '%s' of the protocol is not known (EPROTONOSUPPORT); this broker speaks version %u",
			version, PROTOCOL_VERSION);
	if (!word)
		return refuse(
			refusal, EBADMSG, "the packet has no REQUEST= (EBADMSG); see usher-protocol(7)");
	if (!verb_from_word(word, ret))
		return refuse(refusal, EOPNOTSUPP,
			"the request '%s' is not known (EOPNOTSUPP); this is usherd " USHER_VERSION, word);
	return 0;
}

/* Root has to have opened the connection as well, so that nobody has root speak by passing it a socket. */
static int check_verb(
	enum request_verb verb, const struct intake_request *request, uid_t opener, struct refusal *refusal)
{
	uid_t uid = request->identity.uid ? request->identity.uid : opener;

	if (request->n_fds && !forms[verb].takes_sockets)
		return refuse(refusal, EINVAL,
			"%zu descriptors came with the request '%s', which takes none (EINVAL); they have been closed",
			request->n_fds, verb_word(verb));
	if (forms[verb].needs_root && uid)
		return refuse(refusal, EPERM, "only root may ask for '%s', not uid %u (EPERM)",
			verb_word(verb), uid);
	if (is_hand_in(verb) && message_get(request->message, KEY_OWNER) && uid)
		return refuse(refusal, EPERM,
			"only root may hand sockets in for another process (OWNER=), not uid %u (EPERM); let the process hand them in itself",
			uid);
	return 0;
}

/* The other two are ways of the broker's own. */
static enum usher_via read_via(const struct message *message)
{
	enum via via = VIA_CLIENT;

	(void)via_from_word(message_get(message, KEY_VIA), &via);
	return via == VIA_NOTIFY || via == VIA_SYSTEMD ? USHER_VIA_CLIENT : (enum usher_via)via;
}

static int perform(
	struct broker *broker, enum request_verb verb, struct intake_request *request, struct answer *answer)
{
	const char *name = message_get(request->message, KEY_NAME);

	switch (verb) {
	case REQUEST_HAND_IN:
	case REQUEST_HOLD:
		return hand_in(broker, request,
			&(struct hand_in_manner){
				.via = read_via(request->message), .hold = verb == REQUEST_HOLD},
			&answer->packet, &answer->refusal);
	case REQUEST_WITHDRAW:
		return request_withdraw(broker, request, &answer->packet, &answer->refusal);
	case REQUEST_EVICT:
		return request_evict(broker, request->message, &answer->packet, &answer->refusal);
	case REQUEST_CLAIM:
		return request_claim(broker, request, &answer->source, &answer->refusal);
	case REQUEST_RELOAD:
		return reload(broker, answer);
	case REQUEST_DETACH:
		return detach(broker, answer);
	case REQUEST_MONITOR:
		return monitor_subscribe(broker->monitor, answer->session,
			message_get(request->message, KEY_EVENTS), &answer->source, &answer->refusal);
	case REQUEST_STATUS:
		return request_status(broker, &answer->packet);
	case REQUEST_LIST:
		return request_list(broker, name, &answer->source, &answer->refusal);
	case REQUEST_RULES:
		return request_rules(broker, name, &answer->source, &answer->refusal);
	case REQUEST_EXPLAIN:
		return request_explain(broker, request->message, &answer->source, &answer->refusal);
	}
	return -EINVAL;
}

void request_report_refusal(
	const struct identity *identity, const char *verb, const char *name, const struct refusal *refusal)
{
	const struct observed about = {
		.name = name,
		.reason = refusal->text,
		.error = refusal->error,
		.uid = identity->uid,
		.by_client = true,
		.pid = identity->pid,
		.unit = identity->unit,
	};

	observe(OBSERVE_REFUSED, &about, "refused '%s'%s%s of process %d, uid %u: %s", verb,
		name ? " for " : "", name ? name : "", (int)identity->pid, identity->uid, refusal->text);
}

void request_count_hand_in(
	struct broker *broker, const struct intake_request *request, const struct refusal *refusal)
{
	tally_hand_in(&broker->tally, refusal ? refusal->error : 0);
	if (refusal)
		refusals_note(&broker->refusals, request->message, &request->identity, refusal);
	else
		refusals_forget(&broker->refusals, request->message);
}

void request_handle(struct session *session, struct intake_request *request, void *userdata)
{
	struct answer answer = {.session = session, .packet = WRITER_NULL};
	char name[NAME_LENGTH_MAX + 1];
	const struct request_form *form = NULL;
	struct broker *broker = userdata;
	enum request_verb verb;
	int r;

	r = read_verb(request, &verb, &answer.refusal);
	if (!r) {
		form = &forms[verb];
		r = check_verb(verb, request, session_uid(session), &answer.refusal);
	}
	if (!r && form->identifies)
		intake_identify(request);
	if (!r)
		r = perform(broker, verb, request, &answer);
	if (r < 0)
		(void)refuse(&answer.refusal, -r, "the broker could not do it (%s); its log may say more",
			errno_name(-r));
	if (form && is_hand_in(verb)) {
		request_count_hand_in(broker, request, r ? &answer.refusal : NULL);
		session_time(session, tally_hand_in_time, &broker->tally);
	}
	if (r && form && form->changes)
		request_report_refusal(&request->identity, verb_word(verb),
			names_text(request->message, name), &answer.refusal);
	if (r)
		session_refuse(session, &answer.refusal);
	else if (answer.source.next)
		session_answer_rows(session, &answer.source);
	else
		session_answer(session, &answer.packet);
}

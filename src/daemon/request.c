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

enum request_kind {
	HAND_IN,
	HOLD,
	WITHDRAW,
	EVICT,
	CLAIM,
	RELOAD,
	DETACH,
	MONITOR,
	STATUS,
	LIST,
	RULES,
	EXPLAIN
};

static const struct request_form {
	const char *verb;
	enum request_kind kind;
	bool takes_sockets; /* descriptors may come with it */
	bool identifies;    /* pid and unit of the sender matter */
	bool needs_root;
	bool changes; /* something, so that a refusal concerns the administrator */
} forms[] = {
	{"hand-in", HAND_IN, true, true, false, true},
	{"hold", HOLD, true, true, false, true},
	{"withdraw", WITHDRAW, true, true, false, true},
	{"evict", EVICT, false, false, true, true},
	{"claim", CLAIM, false, true, false, true},
	{"reload", RELOAD, false, false, true, true},
	{"detach", DETACH, false, false, true, true},
	{"monitor", MONITOR, false, false, true, false},
	{"status", STATUS, false, false, false, false},
	{"list", LIST, false, false, false, false},
	{"rules", RULES, false, false, false, false},
	{"explain", EXPLAIN, false, false, false, false},
};

static int find_form(
	const struct intake_request *request, const struct request_form **ret, struct refusal *refusal)
{
	const char *verb = message_get(request->message, KEY_REQUEST),
		   *version = message_get(request->message, KEY_VERSION);
	unsigned long number;

	if (version && (text_to_uint(version, 1000000, &number) < 0 || number != PROTOCOL_VERSION))
		return refuse(refusal, EPROTONOSUPPORT,
			"version '%s' of the protocol is not known (EPROTONOSUPPORT); this broker speaks version %u",
			version, PROTOCOL_VERSION);
	if (!verb)
		return refuse(
			refusal, EBADMSG, "the packet has no REQUEST= (EBADMSG); see usher-protocol(7)");
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (!strcmp(forms[i].verb, verb)) {
			*ret = &forms[i];
			return 0;
		}
	return refuse(refusal, EOPNOTSUPP,
		"the request '%s' is not known (EOPNOTSUPP); this is usherd " USHER_VERSION, verb);
}

/* Root has to have opened the connection as well, so that nobody has root speak by passing it a socket. */
static int check_form(const struct request_form *form, const struct intake_request *request, uid_t opener,
	struct refusal *refusal)
{
	uid_t uid = request->identity.uid ? request->identity.uid : opener;

	if (request->n_fds && !form->takes_sockets)
		return refuse(refusal, EINVAL,
			"%zu descriptors came with the request '%s', which takes none (EINVAL); they have been closed",
			request->n_fds, form->verb);
	if (form->needs_root && uid)
		return refuse(
			refusal, EPERM, "only root may ask for '%s', not uid %u (EPERM)", form->verb, uid);
	if ((form->kind == HAND_IN || form->kind == HOLD) && message_get(request->message, KEY_OWNER) && uid)
		return refuse(refusal, EPERM,
			"only root may hand sockets in for another process (OWNER=), not uid %u (EPERM); let the process hand them in itself",
			uid);
	return 0;
}

static enum usher_via read_via(const struct message *message)
{
	static const struct {
		const char *word;
		enum usher_via via;
	} words[] = {{"library", USHER_VIA_LIBRARY}, {"usherctl", USHER_VIA_CTL},
		{"discover", USHER_VIA_DISCOVERED}};
	const char *word = message_get(message, KEY_VIA);

	for (size_t i = 0; word && i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i].word, word))
			return words[i].via;
	return USHER_VIA_CLIENT;
}

static int perform(
	struct broker *broker, enum request_kind kind, struct intake_request *request, struct answer *answer)
{
	const char *name = message_get(request->message, KEY_NAME);

	switch (kind) {
	case HAND_IN:
	case HOLD:
		return hand_in(broker, request,
			&(struct hand_in_manner){.via = read_via(request->message), .hold = kind == HOLD},
			&answer->packet, &answer->refusal);
	case WITHDRAW:
		return request_withdraw(broker, request, &answer->packet, &answer->refusal);
	case EVICT:
		return request_evict(broker, request->message, &answer->packet, &answer->refusal);
	case CLAIM:
		return request_claim(broker, request, &answer->source, &answer->refusal);
	case RELOAD:
		return reload(broker, answer);
	case DETACH:
		return detach(broker, answer);
	case MONITOR:
		return monitor_subscribe(broker->monitor, answer->session,
			message_get(request->message, KEY_EVENTS), &answer->source, &answer->refusal);
	case STATUS:
		return request_status(broker, &answer->packet);
	case LIST:
		return request_list(broker, name, &answer->source, &answer->refusal);
	case RULES:
		return request_rules(broker, name, &answer->source, &answer->refusal);
	case EXPLAIN:
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
	int r;

	r = find_form(request, &form, &answer.refusal);
	if (!r)
		r = check_form(form, request, session_uid(session), &answer.refusal);
	if (!r && form->identifies)
		intake_identify(request);
	if (!r)
		r = perform(broker, form->kind, request, &answer);
	if (r < 0)
		(void)refuse(&answer.refusal, -r, "the broker could not do it (%s); its log may say more",
			errno_name(-r));
	if (form && (form->kind == HAND_IN || form->kind == HOLD)) {
		request_count_hand_in(broker, request, r ? &answer.refusal : NULL);
		session_time(session, tally_hand_in_time, &broker->tally);
	}
	if (r && form && form->changes)
		request_report_refusal(
			&request->identity, form->verb, names_text(request->message, name), &answer.refusal);
	if (r)
		session_refuse(session, &answer.refusal);
	else if (answer.source.next)
		session_answer_rows(session, &answer.source);
	else
		session_answer(session, &answer.packet);
}

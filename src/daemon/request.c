/* SPDX-License-Identifier: BSD-3-Clause */
#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../broker/named_rule.h"
#include "../broker/naming.h"
#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/names.h"
#include "../wire/protocol.h"
#include "detached.h"
#include "reading.h"

/*
 * What a request gives back: 0, with the one packet in `packet` or with `source` filled; REFUSED; or a negative errno,
 * which the client gets as it is.
 */
struct outcome {
	struct session *session; /* of the client */
	struct writer packet;
	struct answer_source source;
	struct refusal refusal;
};

static int detach(struct broker *broker, struct outcome *outcome)
{
	int r = broker_detach(broker, &outcome->refusal);

	if (r)
		return r;
	detached_mark(broker->instance);
	writer_put(&outcome->packet, KEY_OK, "1");
	return 0;
}

/* ---- the table of requests */

static const struct request_form {
	bool takes_sockets; /* descriptors may come with it */
	bool needs_root;
	bool changes; /* something, so that a refusal is reported to the administrator */
	bool named;   /* who may ask depends on the rule of a name */
} forms[REQUEST_N] = {
	[REQUEST_HAND_IN] = {true, false, true, true},
	[REQUEST_HOLD] = {true, false, true, true},
	[REQUEST_WITHDRAW] = {true, false, true, true},
	[REQUEST_EVICT] = {false, true, true},
	[REQUEST_CLAIM] = {false, false, true, true},
	[REQUEST_RELOAD] = {false, true, true},
	[REQUEST_DETACH] = {false, true, true},
	[REQUEST_MONITOR] = {false, true, false},
	[REQUEST_STATUS] = {false, false, false},
	[REQUEST_LIST] = {false, false, false},
	[REQUEST_RULES] = {false, false, false},
	[REQUEST_EXPLAIN] = {false, false, false},
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

/* Root must have opened the connection as well: a client could pass its own connection to a process of root. */
static int check_verb(enum request_verb verb, const struct intake_request *request, bool has_fds,
	uid_t opener, struct refusal *refusal)
{
	uid_t uid = request->identity.uid ? request->identity.uid : opener;

	if (has_fds && !forms[verb].takes_sockets)
		return refuse(refusal, EINVAL,
			"descriptors came with the request '%s', which takes none (EINVAL); they have been closed",
			verb_word(verb));
	if (forms[verb].needs_root && uid)
		return refuse(refusal, EPERM, "only root may ask for '%s', not uid %u (EPERM)",
			verb_word(verb), uid);
	if (is_hand_in(verb) && message_get(request->message, KEY_OWNER) && uid)
		return refuse(refusal, EPERM,
			"only root may hand sockets in for another process (OWNER=), not uid %u (EPERM); let the process hand them in itself",
			uid);
	return 0;
}

/* Who gets to see the answer: root is who sent the request and opened the connection as well, as in check_verb(). */
static struct identity find_asker(const struct intake_request *request, uid_t opener)
{
	if (request->identity.uid || !opener)
		return request->identity;
	return (struct identity){.uid = opener, .gid = (gid_t)-1, .unit = ""};
}

static int perform(struct usherd *usherd, enum request_verb verb, struct intake_request *request,
	struct outcome *outcome)
{
	struct broker *broker = &usherd->broker;

	switch (verb) {
	case REQUEST_HAND_IN:
	case REQUEST_HOLD:
		return request_hand_in(
			usherd, outcome->session, request, verb == REQUEST_HOLD, &outcome->refusal);
	case REQUEST_WITHDRAW:
		return request_withdraw(broker, outcome->session, request, &outcome->refusal);
	case REQUEST_EVICT:
		return request_evict(broker, request->message, &outcome->packet, &outcome->refusal);
	case REQUEST_CLAIM:
		return request_claim(broker, request, &outcome->source, &outcome->refusal);
	case REQUEST_RELOAD:
		return request_reload(
			usherd, outcome->session, &outcome->packet, &outcome->source, &outcome->refusal);
	case REQUEST_DETACH:
		return detach(broker, outcome);
	case REQUEST_MONITOR:
		return monitor_subscribe(usherd->monitor, outcome->session,
			message_get(request->message, KEY_EVENTS), &outcome->source, &outcome->refusal);
	case REQUEST_STATUS:
	case REQUEST_LIST:
	case REQUEST_RULES:
	case REQUEST_EXPLAIN:
		return reading_postpone(usherd, verb, request->message,
			find_asker(request, session_uid(outcome->session)), &outcome->source);
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

void request_count_hand_in(struct usherd *usherd, const char *names, const struct identity *client,
	const struct refusal *refusal)
{
	tally_hand_in(&usherd->tally, refusal ? refusal->error : 0);
	if (refusal)
		refusals_note(&usherd->refusals, usherd->broker.generation, names, client, refusal);
	else
		refusals_forget(&usherd->refusals, names);
}

static void conclude(struct usherd *usherd, enum request_verb verb, struct session *session,
	struct intake_request *request, int result, const struct refusal *refusal)
{
	char name[NAME_LENGTH_MAX + 1];
	const char *names = names_text(request->message, name);

	if (is_hand_in(verb)) {
		request_count_hand_in(usherd, names, &request->identity, result ? refusal : NULL);
		session_time(session, tally_hand_in_time, &usherd->tally);
	}
	if (result && forms[verb].changes)
		request_report_refusal(&request->identity, verb_word(verb), names, refusal);
}

static int refuse_internal(int error, struct refusal *refusal)
{
	return refuse(refusal, error, "internal error of the broker (%s); its log may have more",
		errno_name(error));
}

void request_conclude_hand_in(struct usherd *usherd, struct session *session, struct intake_request *request,
	int result, const struct refusal *refusal)
{
	enum request_verb verb = REQUEST_HAND_IN;
	struct refusal internal;

	if (result < 0) {
		(void)refuse_internal(-result, &internal);
		refusal = &internal;
	}
	(void)verb_from_word(message_get(request->message, KEY_REQUEST), &verb);
	conclude(usherd, verb, session, request, result, refusal);
	if (result)
		session_refuse(session, refusal);
}

/* The first name is enough: a client that may use one may keep a worker busy. */
static int admit(struct usherd *usherd, enum request_verb verb, const struct intake_request *request,
	struct refusal *refusal)
{
	const struct broker *broker = &usherd->broker;
	const char *name;
	const struct rule *rule;
	struct names names;
	int r;

	r = names_read(request->message, 0, &names, refusal);
	if (r)
		return r;
	name = names.items[0];
	rule = rule_set_find(broker->generation->rules, name);
	if (!is_hand_in(verb) && !rule)
		return named_rule_check_access(broker, name, &request->identity, refusal);
	r = named_rule_find(broker, name, &rule, refusal);
	if (r || message_get(request->message, KEY_OWNER))
		return r;
	return naming_admits(broker, rule, &request->identity, refusal);
}

int request_admit(struct session *session, const struct intake_request *request, struct refusal *refusal,
	void *userdata)
{
	struct usherd *usherd = userdata;
	enum request_verb verb;
	int r;

	r = read_verb(request, &verb, refusal);
	if (r)
		return r;
	r = check_verb(verb, request, true, session_uid(session), refusal);
	if (!r)
		r = admit(usherd, verb, request, refusal);
	if (r < 0)
		r = refuse_internal(-r, refusal);
	if (r)
		conclude(usherd, verb, session, (struct intake_request *)request, r, refusal);
	return r;
}

/* Return: whether it is answered; else the answer follows. */
static bool answer(struct usherd *usherd, enum request_verb verb, struct session *session,
	struct intake_request *request)
{
	struct outcome outcome = {.session = session, .packet = WRITER_NULL};
	int r = check_verb(verb, request, request->n_fds, session_uid(session), &outcome.refusal);

	if (!r)
		r = perform(usherd, verb, request, &outcome);
	if (!r && (is_hand_in(verb) || verb == REQUEST_WITHDRAW))
		return false;
	if (!r && !outcome.source.next && !outcome.packet.size)
		return false; /* a reload waits */
	if (r < 0)
		(void)refuse_internal(-r, &outcome.refusal);
	conclude(usherd, verb, session, request, r, &outcome.refusal);
	if (r)
		session_refuse(session, &outcome.refusal);
	else if (outcome.source.next)
		session_answer_rows(session, &outcome.source);
	else
		session_answer(session, &outcome.packet);
	return true;
}

/* ---- requests that wait until users and groups have been looked up */

struct waiting {
	struct usherd *usherd;
	enum request_verb verb;
	struct session *session;
	struct intake_request *request; /* the session's */
	struct lookup_wait *wait;
};

static void on_looked_up(void *userdata)
{
	_cleanup_free_ struct waiting *waiting = userdata;

	if (answer(waiting->usherd, waiting->verb, waiting->session, waiting->request))
		session_resume(waiting->session);
}

static void on_cancel(void *userdata)
{
	_cleanup_free_ struct waiting *waiting = userdata;

	lookup_cancel(waiting->wait);
}

static void wait_for_names(const struct broker *broker, const struct waiting *waiting)
{
	const struct message *message = waiting->request->message;
	const struct identity *identity =
		message_get(message, KEY_OWNER) ? NULL : &waiting->request->identity;
	struct refusal refusal;
	struct names names;

	if (names_read(message, 0, &names, &refusal))
		return;
	for (size_t i = 0; i < names.n; i++)
		naming_wait(broker, names.items[i], identity, waiting->wait);
}

/* Return: whether the answer follows. */
static bool wait_if_needed(struct usherd *usherd, enum request_verb verb, struct session *session,
	struct intake_request *request)
{
	_cleanup_free_ struct waiting *waiting = forms[verb].named ? calloc(1, sizeof(*waiting)) : NULL;

	if (!waiting)
		return false;
	*waiting = (struct waiting){
		usherd, verb, session, request, lookups_wait(usherd->broker.lookups, on_looked_up, waiting)};
	if (!waiting->wait)
		return false;
	wait_for_names(&usherd->broker, waiting);
	if (lookup_wait_is_over(waiting->wait)) {
		lookup_cancel(waiting->wait);
		return false;
	}
	session_defer(session, on_cancel, TAKE_PTR(waiting));
	return true;
}

void request_handle(struct session *session, struct intake_request *request, void *userdata)
{
	struct usherd *usherd = userdata;
	struct refusal refusal;
	enum request_verb verb;

	if (read_verb(request, &verb, &refusal))
		session_refuse(session, &refusal);
	else if (!wait_if_needed(usherd, verb, session, request))
		(void)answer(usherd, verb, session, request);
}

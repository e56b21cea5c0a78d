/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The requests of docs/protocol.md: request_X() is in X.c, request_evict() in withdraw.c. */

#include "usherd.h"

/* The maps store these numbers for the words of VIA=. */
_Static_assert(
	(int)VIA_CLIENT == USHER_VIA_CLIENT && (int)VIA_LIBRARY == USHER_VIA_LIBRARY, "as in the maps");
_Static_assert((int)VIA_CTL == USHER_VIA_CTL && (int)VIA_DISCOVER == USHER_VIA_DISCOVERED, "as in the maps");
_Static_assert(
	(int)VIA_NOTIFY == USHER_VIA_NOTIFY && (int)VIA_SYSTEMD == USHER_VIA_SYSTEMD, "as in the maps");
_Static_assert((int)VIA_N == USHER_VIA_N, "as in the maps");

/* request_handle() - for door_new(); @userdata is the struct usherd */
void request_handle(struct session *session, struct intake_request *request, void *userdata);

/* request_admit() - for door_new() as well: only who may use the name has a worker look at descriptors */
int request_admit(struct session *session, const struct intake_request *request, struct refusal *refusal,
	void *userdata);

/* request_report_refusal() - report it to the administrator; @name may be NULL */
void request_report_refusal(
	const struct identity *identity, const char *verb, const char *name, const struct refusal *refusal);

/*
 * request_count_hand_in() - record the outcome of a hand-in
 * @names:   separated by colons, or NULL
 * @refusal: NULL when it succeeded
 */
void request_count_hand_in(struct usherd *usherd, const char *names, const struct identity *client,
	const struct refusal *refusal);

/* request_check_sockets() - check that one request may bring this many; 0 or REFUSED */
int request_check_sockets(size_t n, struct refusal *refusal);

/*
 * request_hand_in() - put the sockets of a request under the names in its message
 * @request: its message has NAME= or NAMES=, and perhaps FDS=, VIA= and OWNER=. The caller must have refused OWNER=
 *           from anybody but root. The pidfd of OWNER= is taken out of the descriptors.
 * @hold:    the broker keeps duplicates
 *
 * When 0 is returned, request_conclude_hand_in() is called later, and the session is resumed.
 */
int request_hand_in(struct usherd *usherd, struct session *session, struct intake_request *request, bool hold,
	struct refusal *refusal);

/* request_conclude_hand_in() - record the outcome, and refuse in the case of one */
void request_conclude_hand_in(struct usherd *usherd, struct session *session, struct intake_request *request,
	int result, const struct refusal *refusal);

/*
 * request_withdraw() - take sockets out of their seats, and stop holding them
 * @request: its message has NAME=. With descriptors, only those sockets are withdrawn; without, all of the name.
 *
 * When 0 is returned, the session is answered and resumed later.
 */
int request_withdraw(struct broker *broker, struct session *session, const struct intake_request *request,
	struct refusal *refusal);

/* request_evict() - empty the slots of NAME= in `early` that hold the socket COOKIE= */
int request_evict(
	struct broker *broker, const struct message *message, struct writer *answer, struct refusal *refusal);

/*
 * request_reload() - one packet; or a row for each problem in the rule files; or nothing, and the session is answered and
 * resumed when the users and groups in them have been looked up
 */
int request_reload(struct usherd *usherd, struct session *session, struct writer *answer,
	struct answer_source *rows, struct refusal *refusal);

/* request_status() - @asker: whom the refusals that are shown must concern */
int request_status(struct usherd *usherd, const struct identity *asker, struct writer *answer);

/* Requests that answer with rows; they fill the source on success. */
int request_claim(struct broker *broker, const struct intake_request *request, struct answer_source *answer,
	struct refusal *refusal);
int request_list(
	struct broker *broker, const char *name, struct answer_source *answer, struct refusal *refusal);
/* request_rules() - @message may have NAME=, KEY= and VALUE= */
int request_rules(struct broker *broker, const struct message *message, struct answer_source *answer,
	struct refusal *refusal);

/* request_explain() - @message has PROTOCOL=, LOCAL= and perhaps REMOTE=; @asker as for request_status() */
int request_explain(struct usherd *usherd, const struct message *message, const struct identity *asker,
	struct answer_source *answer, struct refusal *refusal);

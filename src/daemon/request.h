/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The requests of docs/protocol.md. */

#include "../intake/session.h"
#include "broker.h"

/* The maps have the numbers of the words of VIA=. */
_Static_assert(
	(int)VIA_CLIENT == USHER_VIA_CLIENT && (int)VIA_LIBRARY == USHER_VIA_LIBRARY, "as in the maps");
_Static_assert((int)VIA_CTL == USHER_VIA_CTL && (int)VIA_DISCOVER == USHER_VIA_DISCOVERED, "as in the maps");
_Static_assert(
	(int)VIA_NOTIFY == USHER_VIA_NOTIFY && (int)VIA_SYSTEMD == USHER_VIA_SYSTEMD, "as in the maps");
_Static_assert((int)VIA_N == USHER_VIA_N, "as in the maps");

/* request_handle() - for door_new(); @userdata is the struct broker */
void request_handle(struct session *session, struct intake_request *request, void *userdata);

/* request_report_refusal() - tell the administrator; @name may be NULL */
void request_report_refusal(
	const struct identity *identity, const char *verb, const char *name, const struct refusal *refusal);

/* request_count_hand_in() - keep in mind what came of it; @refusal is NULL when it was done */
void request_count_hand_in(
	struct broker *broker, const struct intake_request *request, const struct refusal *refusal);

/*
 * request_withdraw() - take sockets out of their seats, and stop holding them
 * @request: identified; its message has NAME=. Without descriptors all sockets of the name go, with some just those.
 */
int request_withdraw(struct broker *broker, struct intake_request *request, struct writer *answer,
	struct refusal *refusal);

/* request_evict() - empty the slots of NAME= in `early` that hold the socket COOKIE= */
int request_evict(
	struct broker *broker, const struct message *message, struct writer *answer, struct refusal *refusal);

/* Requests that answer with rows; they fill the source on success. */
int request_claim(struct broker *broker, struct intake_request *request, struct session_source *answer,
	struct refusal *refusal);
int request_list(
	struct broker *broker, const char *name, struct session_source *answer, struct refusal *refusal);
int request_rules(
	struct broker *broker, const char *name, struct session_source *answer, struct refusal *refusal);

/* request_explain() - @message has PROTOCOL=, LOCAL= and perhaps REMOTE= */
int request_explain(struct broker *broker, const struct message *message, struct session_source *answer,
	struct refusal *refusal);

/* In status.c. */
int request_status(struct broker *broker, struct writer *answer);

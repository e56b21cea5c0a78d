/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The requests of docs/protocol.md. */

#include "../intake/session.h"
#include "broker.h"

/* request_handle() - for door_new(); @userdata is the struct broker */
void request_handle(struct session *session, struct session_request *request, void *userdata);

/* Requests that change something, in hand_in.c. */
int request_hand_in(struct broker *broker, struct session_request *request, bool hold, struct writer *answer,
	struct refusal *refusal);
int request_withdraw(struct broker *broker, struct session_request *request, struct writer *answer,
	struct refusal *refusal);

/* Requests that answer with rows; they fill the source on success. */
int request_claim(struct broker *broker, struct session_request *request, struct session_source *answer,
	struct refusal *refusal);
int request_list(
	struct broker *broker, const char *name, struct session_source *answer, struct refusal *refusal);
int request_rules(
	struct broker *broker, const char *name, struct session_source *answer, struct refusal *refusal);

/* In status.c. */
int request_status(struct broker *broker, struct writer *answer);

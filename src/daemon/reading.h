/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Requests that only read. Even to begin their answer may take long, so they wait for a turn as the rest of it does. */

#include "usherd.h"

/*
 * reading_postpone() - answer status, list, rules or explain when it is the session's turn
 * @message: its keys are copied
 * @asker:   its groups last as long as the session; the rest is copied
 *
 * Return: 0 or -ENOMEM.
 */
int reading_postpone(struct usherd *usherd, enum request_verb verb, const struct message *message,
	struct identity asker, struct answer_source *answer);

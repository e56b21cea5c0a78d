/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rule of a name, and who may use the name */

#include "../access/identity.h"
#include "broker.h"

/* named_rule_find() - Return: 0, or REFUSED: no valid name (EINVAL), one without a rule (ENOENT), or with a bad one (EBADMSG) */
int named_rule_find(
	const struct broker *broker, const char *name, const struct rule **ret, struct refusal *refusal);

/* named_rule_check_fault() - Return: 0, or REFUSED (EBADMSG) when the rule file of the name could not be used at the start */
int named_rule_check_fault(const struct broker *broker, const char *name, struct refusal *refusal);

/*
 * named_rule_check_access() - may this process withdraw and claim sockets of a name?
 *
 * When the name has no rule any more, only root may: nothing says who else used it.
 *
 * Return: 0 or REFUSED.
 */
int named_rule_check_access(const struct broker *broker, const char *name, const struct identity *identity,
	struct refusal *refusal);

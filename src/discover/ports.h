/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The ports that [Discover] of any rule describes */

#include <stdbool.h>

#include "../../bpf/usher-discover.h"
#include "../rule/rule.h"

/*
 * ports_of_rules() - each (protocol, port) once, sorted
 * @ret: to be freed with free()
 *
 * The protocols of a rule are those of its matches. Return: 0 or -ENOMEM.
 */
int ports_of_rules(const struct rule_set *rules, struct usher_wanted **ret, size_t *ret_n);

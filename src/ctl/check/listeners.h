/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The warnings of check about sockets that listen already and would be bypassed */

#include "../../scan/process.h"
#include "../ctl.h"
#include "../out/json.h"
#include "bypassed.h"

struct listeners {
	struct diag_socket *sockets;
	size_t n_sockets;
	struct bypassed_list bypassed;
	struct process owners[BYPASSED_MAX]; /* of each that is listed; pid 0: not seen */
	struct refusal unknown;		     /* why nothing is known; its error is 0 when something is */
};

void listeners_deinit(struct listeners *listeners);

/*
 * listeners_look() - look at this network namespace: what listens, what the broker serves, who owns the listeners
 * @ret: to be released on any result
 *
 * Return: 0 or -ENOMEM.
 */
int listeners_look(
	const struct ctl *ctl, const struct rule_set *set, struct image *image, struct listeners *ret);

/* listeners_print() - lines "file:line: warning: text" on standard error */
void listeners_print(const struct listeners *listeners, const struct rule_set *set);

/* listeners_print_json() - the members "warnings" and "warnings_left_out" of the open object */
void listeners_print_json(const struct listeners *listeners, struct json *json);

#define LISTENERS_TEXT_MAX 1024

/* listeners_describe() - what a rule takes from a listener; listeners_remedy() - what to do about it */
const char *listeners_describe(
	const struct bypassed *bypassed, const struct process *owner, char text[static LISTENERS_TEXT_MAX]);
const char *listeners_remedy(
	const struct bypassed *bypassed, const struct process *owner, char text[static LISTENERS_TEXT_MAX]);

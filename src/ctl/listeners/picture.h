/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What listens in this network namespace, who has it open, which unit it belongs to, which rules lead to it, and which
 * socket unit that is not active would want the same port: sock_diag, /proc, the broker and the service manager together
 */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "../../scan/process.h"
#include "../ctl.h"
#include "../host/socket_units.h"
#include "../view/seats.h"
#include "../view/settings.h"

struct picture_words {
	const char **items; /* borrowed */
	size_t n;
};

struct picture_row {
	struct process owner;	 /* pid 0: none was seen */
	bool has_manager;	 /* process 1 has it open */
	bool unit_known;	 /* whether it is a socket unit's was looked at */
	const char *socket_unit; /* NULL: of none */
	const char *state;	 /* NULL: not handed in */
	struct picture_words names, rules, wanted_by;
};

struct picture {
	struct diag_socket *sockets;
	struct picture_row *rows; /* of each socket */
	size_t n;
	bool all_owners; /* every process could be looked at */
	bool manager_seen;
	struct seats seats;
	struct settings settings;
	struct socket_units units;
	struct refusal broker_unknown, units_unknown; /* error 0: known */
	char *notes[4];				      /* what was not looked at */
	size_t n_notes;
};

#define PICTURE_NULL ((struct picture){})

void picture_deinit(struct picture *picture);

/*
 * picture_take() - look at all of that, as far as this user may
 * @ret: to be released on any result
 *
 * Refused: the kernel does not list its sockets. Return: 0, REFUSED, or -ENOMEM.
 */
int picture_take(const struct ctl *ctl, struct picture *ret, struct refusal *refusal);

/* picture_knows_owner() - is the process of row @i the one that has the socket, or is it known that none has? */
bool picture_knows_owner(const struct picture *picture, size_t i);

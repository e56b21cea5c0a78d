/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets that are handed in, with their names, and the network namespace that the broker serves */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/client.h"
#include "../ctl.h"

struct served_socket {
	char *name;
	uint64_t cookie; /* 0: a seat of the name without a socket */
};

struct served {
	struct served_socket *items; /* sorted by name, cookie */
	size_t n;
};

#define SERVED_NULL ((struct served){})

void served_deinit(struct served *served);

/*
 * served_check_namespace() - does the broker serve the network namespace of this process?
 *
 * Return: 0, or REFUSED: it serves another one (EXDEV), or it does not answer.
 */
int served_check_namespace(struct client *client, struct refusal *refusal);

/* served_read() - ask for the list; Return: 0, REFUSED, or -ENOMEM */
int served_read(struct client *client, struct served *served, struct refusal *refusal);

/* served_has() - is this socket handed in as @name? served_knows() - does the broker have a rule or socket of @name? */
bool served_has(const struct served *served, const char *name, uint64_t cookie);
bool served_knows(const struct served *served, const char *name);

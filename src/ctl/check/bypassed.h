/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Listening sockets that a rule takes packets from
 *
 * A rule decides before any listener does, even one that is bound to the exact address. That is the purpose of a rule
 * if the listener is handed in, and a surprise if it belongs to another service. What Order= leaves to a listener is not
 * taken.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../image/image.h"
#include "../../scan/diag.h"
#include "../view/served.h"

struct bypassed {
	const struct rule *rule;
	const struct rule_match *match;
	const struct diag_socket *socket;
	struct prefix taken; /* what the rule takes; any address if its length is 0 */
	bool more;	     /* it takes more prefixes than this one */
	bool described;	     /* the rule is in force, and its [Discover] describes the socket */
};

/* Listeners that are listed; the others are counted. */
#define BYPASSED_MAX 20

struct bypassed_list {
	struct bypassed items[BYPASSED_MAX];
	size_t n;
	size_t *n_more; /* for each rule: those that are not among the items */
	size_t n_all;
};

void bypassed_deinit(struct bypassed_list *list);

/*
 * bypassed_find() - compare what listens with what rules take
 * @image:   compiled from @set; this function indexes it
 * @sockets: must live as long as the list, as must @set
 * @served:  what is handed in. NULL when no broker answers: then sockets that [Discover] describes count as handed in.
 *
 * Return: 0 or -ENOMEM.
 */
int bypassed_find(const struct rule_set *set, struct image *image, const struct diag_socket *sockets,
	size_t n_sockets, const struct served *served, struct bypassed_list *ret);

/* bypassed_ports() - the ports that rules take anything on; Return: how many */
size_t bypassed_ports(const struct image *image, uint16_t ports[static USHER_PORTS]);

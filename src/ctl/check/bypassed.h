/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Listening sockets that a rule takes packets from
 *
 * A rule is asked before any listener, also before one that is bound to the very address. That is what rules are for
 * when the listener is handed in, and a surprise when it is somebody else's.
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
	struct prefix taken; /* what the rule takes; of length 0: any address */
	bool more;	     /* that is one prefix of several */
	bool described;	     /* [Discover] of the rule, which is in force, describes the socket */
};

/* So many are told of one by one; the rest is counted. */
#define BYPASSED_MAX 20

struct bypassed_list {
	struct bypassed items[BYPASSED_MAX];
	size_t n;
	size_t *n_more; /* by rule: those that are not among the items */
	size_t n_all;
};

void bypassed_deinit(struct bypassed_list *list);

/*
 * bypassed_find() - compare what listens with what rules take
 * @image:   compiled from @set; is indexed here
 * @sockets: must live as long as the list, as @set must
 * @served:  what is handed in; NULL when no broker answers: then it is believed of what [Discover] describes
 *
 * Return: 0 or -ENOMEM.
 */
int bypassed_find(const struct rule_set *set, struct image *image, const struct diag_socket *sockets,
	size_t n_sockets, const struct served *served, struct bypassed_list *ret);

/* bypassed_ports() - the ports that rules take anything on; Return: how many */
size_t bypassed_ports(const struct image *image, uint16_t ports[static USHER_PORTS]);

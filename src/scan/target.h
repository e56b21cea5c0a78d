/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the words of Socket= of all rules look for */

#include "diag.h"
#include "scan.h"

struct target {
	uint8_t protocol;
	uint16_t port;
	const struct rule *rule;
	const struct rule_match *word; /* of Socket= */
};

struct targets {
	struct target *items; /* sorted by protocol, port, rule */
	size_t n;
};

void targets_deinit(struct targets *targets);

/* targets_collect() - those that a scan is about. Return: 0 or -ENOMEM. */
int targets_collect(const struct scan *scan, struct targets *ret);

/* A rule, and a socket that it describes. */
struct target_hit {
	const struct rule *rule;
	size_t socket;
};

struct target_hits {
	struct target_hit *items; /* sorted by rule, socket; no two alike */
	size_t n;
};

void target_hits_deinit(struct target_hits *hits);

/*
 * targets_match() - find the sockets that are described
 * @sockets: those that no rule describes are taken out
 *
 * Return: 0 or -ENOMEM.
 */
int targets_match(const struct targets *targets, struct diag_socket *sockets, size_t *n_sockets,
	struct target_hits *ret);

/* target_is_served() - whether the rule has a match for what the socket can take */
bool target_is_served(const struct rule *rule, const struct diag_socket *socket);

/*
 * target_describes() - does a word of the rule's Socket= describe this socket?
 *
 * A port alone describes the sockets of the families that the rule serves; a prefix describes any in it, so that the
 * reason why it is refused can be shown.
 */
bool target_describes(
	const struct rule *rule, const struct rule_match *word, const struct diag_socket *socket);

/* target_is_described() - does [Discover] of the rule describe this socket? */
bool target_is_described(const struct rule *rule, const struct diag_socket *socket);

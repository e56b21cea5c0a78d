/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The targets of a scan: the words of Socket= in all rules */

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

/* targets_collect() - the targets of the rules and ports of a scan. Return: 0 or -ENOMEM. */
int targets_collect(const struct scan *scan, struct targets *ret);

/* A rule, and a socket that it describes */
struct target_hit {
	const struct rule *rule;
	size_t socket;
};

struct target_hits {
	struct target_hit *items; /* sorted by rule, socket; without duplicates */
	size_t n;
};

void target_hits_deinit(struct target_hits *hits);

/*
 * targets_match() - find the sockets that rules describe
 * @sockets: those that no rule describes are removed
 *
 * Return: 0 or -ENOMEM.
 */
int targets_match(const struct targets *targets, struct diag_socket *sockets, size_t *n_sockets,
	struct target_hits *ret);

/* target_is_served() - does the rule have a match for packets that the socket can take? */
bool target_is_served(const struct rule *rule, const struct diag_socket *socket);

/*
 * target_describes() - does a word of the rule's Socket= describe this socket?
 *
 * A port alone describes sockets of the families that the rule serves. A prefix describes every socket in it, so that
 * the reason for a refusal can be shown.
 */
bool target_describes(
	const struct rule *rule, const struct rule_match *word, const struct diag_socket *socket);

/* target_is_described() - does [Discover] of the rule describe this socket? */
bool target_is_described(const struct rule *rule, const struct diag_socket *socket);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../util/array.h"

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};

void targets_deinit(struct targets *targets)
{
	free(targets->items);
	*targets = (struct targets){.n = 0};
}

void target_hits_deinit(struct target_hits *hits)
{
	free(hits->items);
	*hits = (struct target_hits){.n = 0};
}

static bool has_port(const struct rule_discover *discover, uint16_t port)
{
	for (size_t i = 0; i < discover->n_sockets; i++)
		if (discover->sockets[i].first == port)
			return true;
	return false;
}

static bool wants(const struct rule *rule, uint8_t protocol, uint16_t port)
{
	/* only sockets of protocols that the rule serves */
	return rule->discover.present && (!port || has_port(&rule->discover, port)) &&
	       rule_has_match(rule, protocol, AF_UNSPEC);
}

static int compare_pointers(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

static int compare_targets(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	if (x->protocol != y->protocol)
		return x->protocol - y->protocol;
	return x->port != y->port ? x->port - y->port : compare_pointers(x->rule, y->rule);
}

static int append_targets(struct targets *targets, const struct rule *rule, const uint8_t protocol)
{
	const struct rule_discover *discover = &rule->discover;

	for (size_t i = 0; i < discover->n_sockets; i++) {
		if (ARRAY_RESERVE(targets->items, targets->n) < 0)
			return -ENOMEM;
		targets->items[targets->n++] = (struct target){.protocol = protocol,
			.port = discover->sockets[i].first,
			.rule = rule,
			.word = &discover->sockets[i]};
	}
	return 0;
}

int targets_collect(const struct scan *scan, struct targets *ret)
{
	_cleanup_(targets_deinit) struct targets targets = {.n = 0};

	for (size_t i = 0; i < scan->rules->n_rules; i++) {
		const struct rule *rule = &scan->rules->rules[i];

		if (scan->name && strcmp(scan->name, rule->name))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(protocols); k++) {
			if ((scan->protocol && scan->protocol != protocols[k]) ||
				!wants(rule, protocols[k], scan->port))
				continue;
			if (append_targets(&targets, rule, protocols[k]) < 0)
				return -ENOMEM;
		}
	}
	if (targets.n)
		qsort(targets.items, targets.n, sizeof(*targets.items), compare_targets);
	*ret = targets;
	targets = (struct targets){.n = 0};
	return 0;
}

static const struct target *first_target(const struct targets *targets, const struct diag_socket *socket)
{
	const struct target key = {.protocol = socket->protocol, .port = socket->port};

	return targets->items +
	       array_lower_bound(&key, targets->items, targets->n, sizeof(key), compare_targets);
}

bool target_is_served(const struct rule *rule, const struct diag_socket *socket)
{
	static const int families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (diag_serves(socket, families[i]) && rule_has_match(rule, socket->protocol, families[i]))
			return true;
	return false;
}

bool target_describes(
	const struct rule *rule, const struct rule_match *word, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	if (word->first != socket->port)
		return false;
	if (word->prefix.family == AF_UNSPEC)
		return target_is_served(rule, socket);
	return prefix_contains(&word->prefix, family, address) &&
	       rule_has_match(rule, socket->protocol, AF_UNSPEC);
}

bool target_is_described(const struct rule *rule, const struct diag_socket *socket)
{
	for (size_t i = 0; i < rule->discover.n_sockets; i++)
		if (target_describes(rule, &rule->discover.sockets[i], socket))
			return true;
	return false;
}

static int compare_hits(const void *a, const void *b)
{
	const struct target_hit *x = a, *y = b;

	if (x->rule != y->rule)
		return compare_pointers(x->rule, y->rule);
	return (x->socket > y->socket) - (x->socket < y->socket);
}

static int append_hit(struct target_hits *hits, struct target_hit hit)
{
	const struct target_hit *last = hits->n ? &hits->items[hits->n - 1] : NULL;

	/* two words of one rule can describe the same socket */
	if (last && last->rule == hit.rule && last->socket == hit.socket)
		return 0;
	if (ARRAY_RESERVE(hits->items, hits->n) < 0)
		return -ENOMEM;
	hits->items[hits->n++] = hit;
	return 0;
}

int targets_match(const struct targets *targets, struct diag_socket *sockets, size_t *n_sockets,
	struct target_hits *ret)
{
	_cleanup_(target_hits_deinit) struct target_hits hits = {.n = 0};
	const struct target *end = targets->items + targets->n;
	size_t kept = 0;

	for (size_t i = 0; i < *n_sockets; i++) {
		size_t before = hits.n;

		sockets[kept] = sockets[i];
		for (const struct target *at = first_target(targets, &sockets[kept]);
			at < end && at->protocol == sockets[kept].protocol && at->port == sockets[kept].port;
			at++) {
			struct target_hit hit = {.rule = at->rule, .socket = kept};

			if (target_describes(at->rule, at->word, &sockets[kept]) &&
				append_hit(&hits, hit) < 0)
				return -ENOMEM;
		}
		kept += hits.n > before;
	}
	*n_sockets = kept;
	if (hits.n)
		qsort(hits.items, hits.n, sizeof(*hits.items), compare_hits);
	*ret = hits;
	hits = (struct target_hits){.n = 0};
	return 0;
}

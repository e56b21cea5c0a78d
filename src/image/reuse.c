/* SPDX-License-Identifier: BSD-3-Clause */
#include "reuse.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../rule/changes.h"
#include "../util/array.h"

static void extend(struct ports *ports, const struct rule_match *match)
{
	if (match->first < ports->first)
		ports->first = match->first;
	if (match->last > ports->last)
		ports->last = match->last;
}

static void extend_tables(struct ports *ports, const struct rule_match *match)
{
	unsigned udp = match->protocol == IPPROTO_UDP;

	if (match->prefix.family != AF_INET6)
		extend(&ports[USHER_TABLE_TCP4 + udp], match);
	if (match->prefix.family != AF_INET)
		extend(&ports[USHER_TABLE_TCP6 + udp], match);
}

static int extend_by_change(const struct rule_change *change, void *userdata)
{
	for (size_t i = 0; i < change->n_old; i++)
		extend_tables(userdata, &change->old[i]);
	for (size_t i = 0; i < change->n_new; i++)
		extend_tables(userdata, &change->new[i]);
	return 0;
}

void reuse_find_ports(
	const struct rule_set *before, const struct rule_set *set, struct ports ports[static USHER_TABLES])
{
	for (unsigned t = 0; t < USHER_TABLES; t++)
		ports[t] = before ? PORTS_NONE : PORTS_ALL;
	if (before)
		(void)changes_foreach(before, set, extend_by_change, ports);
}

/* The nodes of a class are contiguous, the root last. */
static int copy_nodes(struct image *image, const struct image *before, size_t class, const uint32_t *seats)
{
	uint32_t first = class ? (before->classes[class - 1].word & ~TREE_WORD_NODE) + 1 : 0;
	uint32_t root = before->classes[class].word & ~TREE_WORD_NODE;
	uint32_t moved = (uint32_t)image->nodes.n - first;

	for (uint32_t i = first; i <= root; i++) {
		struct usher_node node = before->nodes.nodes[i];

		for (size_t k = 0; k < USHER_NODE_RANGES; k++)
			node.words[k] =
				node.words[k] & TREE_WORD_NODE ? node.words[k] + moved : seats[node.words[k]];
		if (ARRAY_RESERVE(image->nodes.nodes, image->nodes.n) < 0)
			return -ENOMEM;
		image->nodes.nodes[image->nodes.n++] = node;
	}
	return 0;
}

/* @words: for each class of the previous image, its word in this one; 0: it has not been copied yet */
static int copy_class(struct image *image, const struct image *before, const struct image_class *class,
	const uint32_t *seats, uint32_t *words)
{
	size_t index = (size_t)(class - before->classes);
	int r;

	if (words[index])
		return 0;
	if (image->n_prefixes + class->n > IMAGE_PREFIXES_MAX)
		return IMAGE_TOO_LARGE;
	r = copy_nodes(image, before, index, seats);
	if (!r)
		r = ARRAY_RESERVE(image->classes, image->n_classes);
	if (r)
		return r;
	words[index] = TREE_WORD_NODE | (uint32_t)(image->nodes.n - 1);
	image->classes[image->n_classes] = *class;
	image->classes[image->n_classes++].word = words[index];
	image->n_prefixes += class->n;
	return 0;
}

int reuse_copy(
	struct image *image, const struct image *before, const struct table *table, const uint32_t *seats)
{
	const uint32_t *from = before->ports[table->index];
	uint32_t *to = image->ports[table->index];
	_cleanup_free_ uint32_t *words = calloc(before->n_classes + 1, sizeof(*words));
	int r = words ? 0 : -ENOMEM;

	for (unsigned port = 1; port < USHER_PORTS && !r; port++) {
		const struct image_class *class;

		if (port >= table->ports.first && port <= table->ports.last)
			continue;
		class = image_find_class(before, from[port]);
		if (class)
			r = copy_class(image, before, class, seats, words);
		if (!r)
			to[port] = class ? words[class - before->classes] : seats[from[port]];
	}
	return r;
}

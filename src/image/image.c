/* SPDX-License-Identifier: BSD-3-Clause */
#include "image.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "compile.h"
#include "reuse.h"

struct image *image_free(struct image *image)
{
	if (!image)
		return NULL;
	free(image->seats);
	free(image->prefixes);
	free(image->classes);
	free(image->nodes.nodes);
	free(image);
	return NULL;
}

/* Numbers the seats and sets the word of every rule in every table: words[table * n_rules + rule], 0 without a seat. */
static int add_seats(struct image *image, const struct rule_set *set, const struct table *tables,
	uint32_t *words, struct problems *problems)
{
	image->seats = calloc(1, sizeof(*image->seats));
	if (!image->seats)
		return -ENOMEM;
	image->n_seats = 1;
	for (size_t i = 0; i < set->n_rules; i++)
		for (unsigned t = 0; t < USHER_TABLES; t++) {
			const struct rule *rule = &set->rules[i];

			if (!rule_has_match(rule, tables[t].protocol, tables[t].family))
				continue;
			if (image->n_seats == USHER_SEATS_MAX) {
				int r = problems_add(problems, rule->path, 0,
					"with this rule, the rules need more than %u seats (one for each name, protocol and family); remove rules, or write prefixes of only one family where both are not needed",
					USHER_SEATS_MAX - 1);

				return r < 0 ? r : IMAGE_TOO_LARGE;
			}
			if (ARRAY_RESERVE(image->seats, image->n_seats) < 0)
				return -ENOMEM;
			_Static_assert((int)USHER_ORDER_FIRST == RULE_FIRST &&
					       (int)USHER_ORDER_BEFORE_WILDCARD == RULE_BEFORE_WILDCARD &&
					       (int)USHER_ORDER_LAST == RULE_LAST,
				"the program has the words of the rules");
			words[t * set->n_rules + i] = (uint32_t)image->n_seats;
			image->seats[image->n_seats++] = (struct image_seat){.name = rule->name,
				.pass = rule->missing_pass,
				.order = (uint8_t)rule->order,
				.protocol = tables[t].protocol,
				.family = tables[t].family};
		}
	return 0;
}

/* Names the rule that has most of the prefixes up to here. */
static int complain_too_large(
	const struct image *image, const struct rule_set *set, struct problems *problems)
{
	_cleanup_free_ size_t *counts = calloc(image->n_seats, sizeof(*counts));
	size_t most = 1;
	int r;

	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; i < image->n_listed; i++)
		counts[image->prefixes[i].word]++;
	for (size_t i = 1; i < image->n_seats; i++)
		if (counts[i] > counts[most])
			most = i;
	r = problems_add(problems, rule_set_find(set, image->seats[most].name)->path, 0,
		"the rules need more than %u prefixes in the kernel, most of them for this rule: each set of ports to which different matches apply has its own prefixes; write fewer port ranges that overlap with many prefixes",
		IMAGE_PREFIXES_MAX);
	return r < 0 ? r : IMAGE_TOO_LARGE;
}

/* For each seat of the previous image, its word in this one; 0: the rule is gone, or has no match in the table now */
static uint32_t *find_seats(const struct image *before, const struct rule_set *set, const uint32_t *words)
{
	uint32_t *seats = calloc(before->n_seats, sizeof(*seats));

	for (size_t i = 1; i < before->n_seats && seats; i++) {
		const struct image_seat *seat = &before->seats[i];
		const struct rule *rule = rule_set_find(set, seat->name);

		if (rule)
			seats[i] = words[image_table(seat->family, seat->protocol) * set->n_rules +
					 (size_t)(rule - set->rules)];
	}
	return seats;
}

static int add_tables(struct image *image, const struct image *before, const struct rule_set *set,
	const uint32_t *words, struct table *tables, struct problems *problems)
{
	_cleanup_free_ uint32_t *seats = before ? find_seats(before, set, words) : NULL;
	bool conflict = false;
	int r;

	if (before && !seats)
		return -ENOMEM;
	for (unsigned t = 0; t < USHER_TABLES; t++) {
		r = table_fill_spans(set, words + t * set->n_rules, &tables[t], problems);
		if (r < 0)
			return r;
		conflict = conflict || r == IMAGE_CONFLICT;
	}
	if (conflict)
		return IMAGE_CONFLICT;
	for (unsigned t = 0; t < USHER_TABLES; t++) {
		r = before ? reuse_copy(image, before, &tables[t], seats) : 0;
		if (!r && tables[t].n_spans)
			r = image_add_table(image, &tables[t]);
		if (r)
			return r;
	}
	return 0;
}

static int compile(const struct rule_set *before_set, const struct image *before, const struct rule_set *set,
	struct image **ret, struct problems *problems)
{
	struct table tables[USHER_TABLES] = {
		{.index = USHER_TABLE_TCP4, .family = AF_INET, .protocol = IPPROTO_TCP},
		{.index = USHER_TABLE_UDP4, .family = AF_INET, .protocol = IPPROTO_UDP},
		{.index = USHER_TABLE_TCP6, .family = AF_INET6, .protocol = IPPROTO_TCP},
		{.index = USHER_TABLE_UDP6, .family = AF_INET6, .protocol = IPPROTO_UDP},
	};
	struct ports ports[USHER_TABLES];
	_cleanup_(image_freep) struct image *image = calloc(1, sizeof(*image));
	_cleanup_free_ uint32_t *words = calloc(set->n_rules + 1, USHER_TABLES * sizeof(*words));
	int r;

	if (!image || !words)
		return -ENOMEM;
	reuse_find_ports(before_set, set, ports);
	for (unsigned t = 0; t < USHER_TABLES; t++)
		tables[t].ports = ports[t];
	r = add_seats(image, set, tables, words, problems);
	if (!r) {
		r = add_tables(image, before, set, words, tables, problems);
		if (r == IMAGE_TOO_LARGE && !before)
			r = complain_too_large(image, set, problems);
	}
	for (unsigned t = 0; t < USHER_TABLES; t++)
		table_deinit(&tables[t]);
	if (!r)
		*ret = TAKE_PTR(image);
	return r;
}

int image_compile(const struct rule_set *set, struct image **ret, struct problems *problems)
{
	return compile(NULL, NULL, set, ret, problems);
}

int image_recompile(const struct rule_set *before_set, const struct image *before, const struct rule_set *set,
	struct image **ret, struct problems *problems)
{
	size_t n_problems = problems->n;
	int r = compile(before_set, before, set, ret, problems);

	/* compile everything: that finds the rule with most of the prefixes, or that they are not too many after all */
	if (r == IMAGE_TOO_LARGE && problems->n == n_problems)
		r = image_compile(set, ret, problems);
	return r;
}

void image_forget_prefixes(struct image *image)
{
	free(image->prefixes);
	image->prefixes = NULL;
	image->n_listed = 0;
}

/* A class begins at its root and ends before the next one, so a root that equals the word sorts before it. */
static int compare_root(const void *word, const void *class)
{
	return *(const uint32_t *)word >= ((const struct image_class *)class)->word ? 1 : -1;
}

const struct image_class *image_find_class(const struct image *image, uint32_t word)
{
	size_t after;

	if (!(word & TREE_WORD_NODE))
		return NULL;
	after = array_lower_bound(
		&word, image->classes, image->n_classes, sizeof(*image->classes), compare_root);
	return &image->classes[after ? after - 1 : 0];
}

unsigned image_table(int family, int protocol)
{
	return (family == AF_INET6 ? USHER_TABLE_TCP6 : USHER_TABLE_TCP4) + (protocol == IPPROTO_UDP);
}

uint32_t image_port_word(const struct image *image, int family, int protocol, uint16_t port)
{
	return image->ports[image_table(family, protocol)][port];
}

uint32_t image_lookup(
	const struct image *image, int family, int protocol, const uint8_t *address, uint16_t port)
{
	return tree_lookup(&image->nodes, image_port_word(image, family, protocol, port), address);
}

void image_foreach_prefix(const struct image *image, int family, int protocol, uint16_t port,
	void (*function)(const struct prefix *prefix, uint32_t word, void *userdata), void *userdata)
{
	uint32_t word = image_port_word(image, family, protocol, port);
	const struct image_class *class = image_find_class(image, word);
	const struct prefix any = {.family = (uint8_t)family};

	if (!class && word)
		function(&any, word, userdata);
	for (size_t i = 0; class && image->prefixes && i < class->n; i++) {
		const struct tree_prefix *entry = &image->prefixes[class->first + i];

		function(&entry->prefix, entry->word, userdata);
	}
}

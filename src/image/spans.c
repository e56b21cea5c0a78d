/* SPDX-License-Identifier: BSD-3-Clause */
/* For each prefix: which rule has which port. The narrowest range wins; equal ones of two rules are a conflict. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "entries.h"

/*
 * The ports of one prefix, cut wherever a range starts or ends: cell i has the ports points[i] to points[i + 1] - 1.
 * `next` leads to the next cell without a word, so that setting all ranges takes about as many steps as there are
 * cells.
 */
struct cells {
	uint32_t *points;
	uint32_t *next;
	uint32_t *words;
	size_t n_points;
};

void table_deinit(struct table *table)
{
	free(table->prefixes);
	free(table->spans);
	*table = (struct table){0};
}

static unsigned width(const struct entry *entry)
{
	return (unsigned)entry->match->last - entry->match->first;
}

static int compare_span_prefix(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (int)a->length - (int)b->length;
}

static int report_conflict(
	const struct rule_set *set, const struct entry *a, const struct entry *b, struct problems *problems)
{
	const struct entry *first = a->rule < b->rule ? a : b, *later = first == a ? b : a;
	const char *key = rule_match_key(first->match->protocol);
	bool any = (a->match->prefix.family == AF_UNSPEC) != (b->match->prefix.family == AF_UNSPEC);
	char text[2][RULE_MATCH_TEXT_MAX];
	int r;

	r = problems_add(problems, set->rules[later->rule].path, later->match->line,
		"%s=%s conflicts with %s=%s of the rule '%s' at %s:%u: the same prefix%s and port ranges of equal width; narrow one of them or remove it",
		key, rule_match_format(later->match, text[0]), key, rule_match_format(first->match, text[1]),
		set->rules[first->rule].name, set->rules[first->rule].path, first->match->line,
		any ? " (any address counts as length 0)" : "");
	return r < 0 ? r : problems_set_other(problems, set->rules[first->rule].path);
}

/* Compares each entry of a prefix with the last one before it that has equal width and another rule. */
static int find_conflicts(const struct rule_set *set, const struct table *table, const struct entry *entries,
	size_t n, size_t *n_conflicts, struct problems *problems)
{
	const struct entry *other = NULL; /* the last one with another rule than entries[i - 1] */

	for (size_t i = 1; i < n; i++) {
		const struct entry *entry = &entries[i], *before = entry - 1;
		bool reported_as_ipv4;

		if (before->rule == entry->rule)
			before = other;
		else
			other = before;
		if (!before || width(before) != width(entry) || before->match->last < entry->match->first)
			continue;
		reported_as_ipv4 = table->family == AF_INET6 && before->match->prefix.family == AF_UNSPEC &&
				   entry->match->prefix.family == AF_UNSPEC;
		if (++*n_conflicts <= IMAGE_PROBLEMS_MAX && !reported_as_ipv4 &&
			report_conflict(set, before, entry, problems) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_span(struct table *table, uint32_t word, uint32_t first, uint32_t last)
{
	struct span *before = table->n_spans ? &table->spans[table->n_spans - 1] : NULL;
	uint32_t prefix = (uint32_t)table->n_prefixes - 1;

	if (first < table->ports.first)
		first = table->ports.first;
	if (last > table->ports.last)
		last = table->ports.last;
	if (first > last)
		return 0;
	if (before && before->prefix == prefix && before->word == word && before->last + 1U == first) {
		before->last = (uint16_t)last;
		return 0;
	}
	if (ARRAY_RESERVE(table->spans, table->n_spans) < 0)
		return -ENOMEM;
	table->spans[table->n_spans++] = (struct span){
		.prefix = prefix, .word = word, .first = (uint16_t)first, .last = (uint16_t)last};
	return 0;
}

static int compare_point(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void cut_span(struct cells *cells, const struct entry *entries, size_t n)
{
	size_t n_points = 0;

	for (size_t i = 0; i < n; i++) {
		cells->points[2 * i] = entries[i].match->first;
		cells->points[2 * i + 1] = entries[i].match->last + 1U;
	}
	qsort(cells->points, 2 * n, sizeof(*cells->points), compare_point);
	for (size_t i = 0; i < 2 * n; i++)
		if (!n_points || cells->points[n_points - 1] != cells->points[i])
			cells->points[n_points++] = cells->points[i];
	for (size_t i = 0; i < n_points; i++) {
		cells->next[i] = (uint32_t)i;
		cells->words[i] = 0;
	}
	cells->n_points = n_points;
}

static uint32_t find_cell(const struct cells *cells, uint32_t port)
{
	const uint32_t *point = bsearch(&port, cells->points, cells->n_points, sizeof(port), compare_point);

	return (uint32_t)(point - cells->points);
}

/* The first cell, from this one on, that has no word */
static uint32_t skip_painted(struct cells *cells, uint32_t i)
{
	while (cells->next[i] != i) {
		cells->next[i] = cells->next[cells->next[i]];
		i = cells->next[i];
	}
	return i;
}

static void paint(struct cells *cells, const struct rule_match *match, uint32_t word)
{
	uint32_t end = find_cell(cells, match->last + 1U);

	for (uint32_t i = skip_painted(cells, find_cell(cells, match->first)); i < end;
		i = skip_painted(cells, i)) {
		cells->words[i] = word;
		cells->next[i] = i + 1; /* exists: the last point ends a range and starts none */
	}
}

/* The spans of one prefix; entries are sorted, the narrowest first. */
static int add_spans(struct table *table, const struct entry *entries, size_t n, const uint32_t *words)
{
	_cleanup_free_ uint32_t *memory = NULL;
	struct cells cells;
	int r = 0;

	if (n == 1)
		return add_span(table, words[entries->rule], entries->match->first, entries->match->last);
	memory = calloc(n, 3 * 2 * sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	cells.points = memory;
	cells.next = memory + 2 * n;
	cells.words = memory + 4 * n;
	cut_span(&cells, entries, n);
	for (size_t i = 0; i < n; i++)
		paint(&cells, entries[i].match, words[entries[i].rule]);
	for (size_t i = 0; i + 1 < cells.n_points && !r; i++)
		if (cells.words[i])
			r = add_span(table, cells.words[i], cells.points[i], cells.points[i + 1] - 1);
	return r;
}

int table_fill_spans(
	const struct rule_set *set, const uint32_t *words, struct table *table, struct problems *problems)
{
	_cleanup_free_ struct entry *items = NULL;
	struct entries entries = {0};
	size_t n_conflicts = 0, n;
	int r = entries_collect(set, table, &entries);

	items = entries.items; /* released at return */
	for (size_t i = 0; i < entries.n && !r; i += n) {
		const struct prefix *prefix = &items[i].match->prefix;

		for (n = 1; i + n < entries.n && !compare_span_prefix(prefix, &items[i + n].match->prefix);)
			n++;
		r = ARRAY_RESERVE(table->prefixes, table->n_prefixes);
		if (r)
			break;
		table->prefixes[table->n_prefixes] = *prefix;
		table->prefixes[table->n_prefixes++].family =
			table->family; /* any address is a prefix of length 0 */
		r = find_conflicts(set, table, &items[i], n, &n_conflicts, problems);
		if (!r)
			r = add_spans(table, &items[i], n, words);
	}
	if (!r && n_conflicts)
		r = IMAGE_CONFLICT;
	return r;
}

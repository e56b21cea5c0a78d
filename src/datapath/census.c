/* SPDX-License-Identifier: BSD-3-Clause */
#include "census.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* A socket or a name, and in how many seats it is */
struct counted {
	uint64_t cookie; /* 0: a name */
	char name[USHER_NAME_MAX];
	size_t n;
};

struct census {
	struct noted {
		uint64_t *cookies;
		unsigned n;
	} seats[USHER_SEATS_MAX];
	void *tree; /* of struct counted */
	size_t n_sockets, n_names, n_places;
};

static int compare(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	return x->cookie ? 0 : strncmp(x->name, y->name, sizeof(x->name));
}

struct census *census_new(void)
{
	return calloc(1, sizeof(struct census));
}

struct census *census_free(struct census *census)
{
	if (!census)
		return NULL;
	tdestroy(census->tree, free);
	for (uint32_t seat = 0; seat < USHER_SEATS_MAX; seat++)
		free(census->seats[seat].cookies);
	free(census);
	return NULL;
}

/* What cannot be counted for want of memory is missing in the numbers, and nowhere else. */
static void add(struct census *census, const struct counted *key, size_t *total)
{
	struct counted *own = malloc(sizeof(*own)), **there;

	if (!own)
		return;
	*own = *key;
	there = tsearch(own, &census->tree, compare);
	if (!there || *there != own)
		free(own);
	else
		++*total;
	if (there)
		(*there)->n++;
}

static void subtract(struct census *census, const struct counted *key, size_t *total)
{
	struct counted **there = tfind(key, &census->tree, compare), *counted;

	if (!there || --(*there)->n)
		return;
	counted = *there;
	(void)tdelete(key, &census->tree, compare);
	free(counted);
	--*total;
}

/* Those that are the same in both, at the beginning and at the end, are counted already. */
static unsigned skip_ends(const struct noted *before, const uint64_t **cookies, unsigned *n)
{
	unsigned max = before->n < *n ? before->n : *n, start = 0, end = 0;

	while (start < max && before->cookies[start] == (*cookies)[start])
		start++;
	while (end < max - start && before->cookies[before->n - 1 - end] == (*cookies)[*n - 1 - end])
		end++;
	*cookies += start;
	*n -= start + end;
	return start;
}

static void recount(struct census *census, const struct noted *before, const uint64_t *cookies, unsigned n)
{
	unsigned n_gone = before->n - n, start = skip_ends(before, &cookies, &n);

	n_gone += n; /* the ends are the same: what differs is what is between them */
	for (unsigned i = 0; i < n; i++)
		add(census, &(struct counted){.cookie = cookies[i]}, &census->n_sockets);
	for (unsigned i = 0; i < n_gone; i++)
		subtract(census, &(struct counted){.cookie = before->cookies[start + i]}, &census->n_sockets);
}

void census_note(struct census *census, uint32_t seat, const char *name, const uint64_t *cookies, unsigned n)
{
	struct noted *noted = &census->seats[seat];
	const struct noted before = *noted;
	struct counted key = {.cookie = 0};

	if (before.n == n && (!n || !memcmp(before.cookies, cookies, n * sizeof(*cookies))))
		return;
	*noted = (struct noted){.cookies = n ? calloc(n, sizeof(*cookies)) : NULL, .n = n};
	if (n && !noted->cookies)
		n = noted->n = 0;
	if (n)
		memcpy(noted->cookies, cookies, n * sizeof(*cookies));
	census->n_places += n;
	census->n_places -= before.n;
	strncpy(key.name, name, sizeof(key.name) - 1);
	if (n && !before.n)
		add(census, &key, &census->n_names);
	else if (!n && before.n)
		subtract(census, &key, &census->n_names);
	recount(census, &before, cookies, n);
	free(before.cookies);
}

size_t census_sockets(const struct census *census)
{
	return census->n_sockets;
}

size_t census_names(const struct census *census)
{
	return census->n_names;
}

size_t census_places(const struct census *census)
{
	return census->n_places;
}

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
		uint64_t cookies[USHER_PLACES_MAX];
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
	if (census)
		tdestroy(census->tree, free);
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

void census_note(struct census *census, uint32_t seat, const char *name, const uint64_t *cookies, unsigned n)
{
	struct noted *noted = &census->seats[seat];
	const struct noted before = *noted;
	struct counted key = {.cookie = 0};

	if (before.n == n && (!n || !memcmp(before.cookies, cookies, n * sizeof(*cookies))))
		return;
	noted->n = n;
	for (unsigned i = 0; i < n; i++)
		noted->cookies[i] = cookies[i];
	census->n_places += n;
	census->n_places -= before.n;
	strncpy(key.name, name, sizeof(key.name) - 1);
	if (n && !before.n)
		add(census, &key, &census->n_names);
	else if (!n && before.n)
		subtract(census, &key, &census->n_names);
	for (unsigned i = 0; i < n; i++)
		add(census, &(struct counted){.cookie = cookies[i]}, &census->n_sockets);
	for (unsigned i = 0; i < before.n; i++)
		subtract(census, &(struct counted){.cookie = before.cookies[i]}, &census->n_sockets);
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "rates.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"

void rates_deinit(struct rates *rates)
{
	free(rates->items);
	*rates = RATES_NULL;
}

void rates_begin(struct rates *rates)
{
	for (size_t i = 0; i < rates->n; i++) {
		struct rate *rate = &rates->items[i];

		memcpy(rate->before, (uint64_t[]){rate->lookups, rate->missing, rate->refused},
			sizeof(rate->before));
		rate->lookups = rate->missing = rate->refused = 0;
		rate->sockets = 0;
		rate->seen = rate->is_new = false;
	}
}

/* The list is short, and the seats of a name follow each other. Names of the previous look come first, sorted. */
static struct rate *find_rate(const struct rates *rates, const char *name)
{
	for (size_t i = rates->n; i-- > 0;)
		if (strcmp(rates->items[i].name, name) == 0)
			return &rates->items[i];
	return NULL;
}

int rates_add(struct rates *rates, const char *name, bool has_socket, uint64_t lookups, uint64_t missing,
	uint64_t refused)
{
	struct rate *rate = find_rate(rates, name);

	if (!rate) {
		if (ARRAY_RESERVE(rates->items, rates->n) < 0)
			return -ENOMEM;
		rate = &rates->items[rates->n++];
		*rate = (struct rate){.is_new = true};
		(void)snprintf(rate->name, sizeof(rate->name), "%s", name);
	}
	rate->seen = true;
	rate->sockets += has_socket;
	rate->lookups += lookups;
	rate->missing += missing;
	rate->refused += refused;
	return 0;
}

static int compare_rates(const void *a, const void *b)
{
	return strcmp(((const struct rate *)a)->name, ((const struct rate *)b)->name);
}

void rates_end(struct rates *rates, double now)
{
	double seconds = rates->time > 0 ? now - rates->time : 0;
	size_t n = 0;

	for (size_t i = 0; i < rates->n; i++) {
		struct rate *rate = &rates->items[i];
		const uint64_t counts[] = {rate->lookups, rate->missing, rate->refused};

		if (!rate->seen)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
			uint64_t before = counts[k] < rate->before[k] ? 0 : rate->before[k];

			rate->per_second[k] =
				seconds > 0 && !rate->is_new ? (double)(counts[k] - before) / seconds : 0;
		}
		memmove(rate->history, rate->history + 1, sizeof(rate->history) - sizeof(rate->history[0]));
		rate->history[RATES_HISTORY - 1] = rate->per_second[0];
		rates->items[n++] = *rate;
	}
	rates->n = n;
	rates->time = now;
	if (n)
		qsort(rates->items, n, sizeof(*rates->items), compare_rates);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: load connections|requests|stream ADDRESS PORT SECONDS [AT-ONCE [SOURCE COUNT]]
 *
 * The client of peers.py. load.h says what each word does. Requests come from COUNT addresses in turn, from SOURCE
 * on, each with a flow of its own. Prints a JSON object: done, failed, seconds, percentiles of the latency in ns.
 */

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/macro.h"

#define ENOUGH 10
#define PATIENCE_NS 5000000000 /* on a machine that is too busy for ENOUGH answers in the given time */

static const struct {
	const char *name;
	int (*function)(const struct load *load, struct outcome *ret);
} kinds[] = {{"connections", load_connections}, {"requests", load_requests}, {"stream", load_stream}};

uint64_t load_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool load_is_over(const struct load *load, const struct outcome *outcome, uint64_t elapsed)
{
	return elapsed >= (outcome->done >= ENOUGH ? load->duration : load->duration + PATIENCE_NS);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: load connections|requests|stream ADDRESS PORT SECONDS [AT-ONCE [SOURCE COUNT]]\n");
	return 2;
}

static int parse(int argc, char **argv, struct load *ret)
{
	struct in_addr source;

	if (argc < 5 || argc == 7 || argc > 8)
		return -EINVAL;
	*ret = (struct load){.target.sin_family = AF_INET,
		.target.sin_port = htons((uint16_t)atoi(argv[3])),
		.duration = (uint64_t)(atof(argv[4]) * 1e9),
		.at_once = argc > 5 ? (unsigned)atoi(argv[5]) : 1};
	if (inet_pton(AF_INET, argv[2], &ret->target.sin_addr) != 1 || ret->at_once == 0)
		return -EINVAL;
	if (argc == 8) {
		if (inet_pton(AF_INET, argv[6], &source) != 1)
			return -EINVAL;
		ret->source = ntohl(source.s_addr);
		ret->n_sources = (uint32_t)atoi(argv[7]);
	}
	return 0;
}

static void print(const struct outcome *outcome)
{
	printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.6f", outcome->done,
		outcome->failed, (double)outcome->duration / 1e9);
	if (outcome->latencies && outcome->done) {
		qsort(outcome->latencies, outcome->done, sizeof(*outcome->latencies), compare);
		printf(", \"p50\": %" PRIu32 ", \"p99\": %" PRIu32, outcome->latencies[outcome->done / 2],
			outcome->latencies[outcome->done * 99 / 100]);
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	struct outcome outcome = {0};
	struct load load;
	int r = -EINVAL;

	if (parse(argc, argv, &load) < 0)
		return usage();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(argv[1], kinds[i].name))
			r = kinds[i].function(&load, &outcome);
	if (r == 0)
		print(&outcome);
	else
		fprintf(stderr, "load: %s %s %s: %s\n", argv[1], argv[2], argv[3], strerror(-r));
	free(outcome.latencies);
	return r == 0 ? 0 : 1;
}

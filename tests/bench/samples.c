/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samples_print(const struct samples *samples)
{
	printf("{\"table\": \"%s\", \"row\": \"%s\", \"column\": \"%s\", \"unit\": \"%s\"", samples->table,
		samples->row, samples->column, samples->unit);
	if (samples->baseline)
		printf(", \"baseline\": \"%s\"", samples->baseline);
	printf(", \"values\": [");
	for (unsigned i = 0; i < samples->n; i++)
		printf("%s%.2f", i ? ", " : "", samples->values[i]);
	printf("]}\n");
	(void)fflush(stdout);
}

void samples_note(const char *table, const char *note)
{
	printf("{\"table\": \"%s\", \"note\": \"%s\"}\n", table, note);
	(void)fflush(stdout);
}

bool samples_quick(int argc, char **argv)
{
	const char *quick = getenv("QUICK");

	if (argc == 2 && strcmp(argv[1], "--quick") == 0)
		return true;
	if (argc > 1) {
		fprintf(stderr, "usage: %s [--quick]\n", argv[0]);
		exit(2);
	}
	return quick && strcmp(quick, "1") == 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The output of a benchmark: one line of JSON for each row and column, with the value of every round */

#include <stdbool.h>

#define SAMPLES_MAX 64

struct samples {
	const char *table, *row, *column, *unit;
	const char *baseline; /* the column that it is compared with; NULL for that column itself */
	double values[SAMPLES_MAX];
	unsigned n;
};

/* samples_print() - on stdout; no text may contain a quote or a backslash */
void samples_print(const struct samples *samples);

/* samples_note() - a note about a table */
void samples_note(const char *table, const char *note);

/* samples_quick() - whether to do only a minimum for every row: --quick, or QUICK=1 in the environment */
bool samples_quick(int argc, char **argv);

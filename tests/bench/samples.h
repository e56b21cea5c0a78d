/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a benchmark prints: one line of JSON for each row and column, with what every round of it took */

#include <stdbool.h>

#define SAMPLES_MAX 64

struct samples {
	const char *table, *row, *column, *unit;
	const char *baseline; /* the column it is compared with; NULL for that one itself */
	double values[SAMPLES_MAX];
	unsigned n;
};

/* samples_print() - on stdout; no text may have a quote or a backslash in it */
void samples_print(const struct samples *samples);

/* samples_note() - what there is to know about a table */
void samples_note(const char *table, const char *note);

/* samples_quick() - whether to do no more than goes through every row: --quick, or QUICK=1 in the environment */
bool samples_quick(int argc, char **argv);

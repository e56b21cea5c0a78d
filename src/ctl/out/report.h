/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The findings of doctor: lines "result what: sentence", with the remedy below */

#include <stdbool.h>
#include <stddef.h>

enum report_result {
	REPORT_OK,
	REPORT_INFO, /* good to know; nothing to fix */
	REPORT_SKIP, /* not checked */
	REPORT_WARN,
	REPORT_FAIL,
	N_REPORT_RESULTS,
};

struct report_line {
	const char *section, *check;
	enum report_result result;
	char *text;
	char *remedy; /* NULL: none */
};

struct report {
	struct report_line *items;
	size_t n;
	size_t totals[N_REPORT_RESULTS];
	bool out_of_memory; /* the report is incomplete */
	/* the current check */
	const char *section, *check;
	size_t n_lines, n_more;
	enum report_result more; /* the worst of those that are only counted */
};

#define REPORT_NULL ((struct report){})

/* Lines of one check that are kept; a last line counts the others. */
#define REPORT_LINES_MAX 24

void report_deinit(struct report *report);

/* report_begin() - start a check, to which the next lines belong; @section, @check: borrowed. report_end() - finish */
void report_begin(struct report *report, const char *section, const char *check);
void report_end(struct report *report);

/* report_add() - a line: one sentence without a full stop */
void report_add(struct report *report, enum report_result result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* report_remedy() - what to do about the last line that was added */
void report_remedy(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* report_print() - to standard output, with headings and a summary if @legend; report_print_json() - the same as JSON */
void report_print(const struct report *report, bool legend);
void report_print_json(const struct report *report);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Something that an administrator should know about a packet, and what to do about it */

#include <stdbool.h>
#include <stddef.h>

struct finding {
	enum { FINDING_FAIL, FINDING_WARN, FINDING_NOTE } severity;
	const char *code;
	char text[1024];
	char remedy[512];  /* "" when there is nothing to do */
	char command[512]; /* for the remedy; "" when there is none */
};

struct findings {
	struct finding *items; /* in the order in which they were found */
	size_t n;
	bool out_of_memory;
};

void findings_deinit(struct findings *findings);

/* findings_add() - without a remedy, which finding_remedy() adds; Return: NULL when there is no memory */
struct finding *findings_add(struct findings *findings, int severity, const char *code, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* finding_remedy(), finding_command() - @finding may be NULL, when there was no memory for it */
void finding_remedy(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_command(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

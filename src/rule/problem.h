/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The problems of rule files: a list, because an administrator wants to see all of them at once */

#include <stddef.h>

#include "../util/macro.h"

struct problem {
	char *file;    /* the path by which it was opened */
	unsigned line; /* 0: the file as a whole */
	char *text;    /* printable, one line */
	char *other;   /* a second file without which there would be no problem; NULL: none */
};

struct problems {
	struct problem *items;
	size_t n;
};

#define PROBLEMS_NULL ((struct problems){.n = 0})

/* problems_add() - Return: 0 or -ENOMEM */
int problems_add(struct problems *problems, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* problems_set_other() - of the problem that was added last. Return: 0 or -ENOMEM */
int problems_set_other(struct problems *problems, const char *file);

void problems_deinit(struct problems *problems);

/* problem_format() - "file:line: text", or "file: text" when there is no line; cut to the size of the buffer */
const char *problem_format(const struct problem *problem, char *text, size_t size);

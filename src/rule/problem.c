/* SPDX-License-Identifier: BSD-3-Clause */
#include "problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../util/array.h"
#include "../util/text.h"

int problems_add(struct problems *problems, const char *file, unsigned line, const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *copy = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL; /* vasprintf(3) leaves it undefined */
		return -ENOMEM;
	}
	text_make_printable(text);
	copy = strdup(file);
	if (!copy)
		return -ENOMEM;
	r = ARRAY_RESERVE(problems->items, problems->n);
	if (r < 0)
		return r;
	problems->items[problems->n++] =
		(struct problem){.file = TAKE_PTR(copy), .line = line, .text = TAKE_PTR(text)};
	return 0;
}

int problems_set_other(struct problems *problems, const char *file)
{
	char *copy = strdup(file);

	if (copy)
		problems->items[problems->n - 1].other = copy;
	return copy ? 0 : -ENOMEM;
}

void problems_deinit(struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		free(problems->items[i].file);
		free(problems->items[i].text);
		free(problems->items[i].other);
	}
	free(problems->items);
	*problems = PROBLEMS_NULL;
}

const char *problem_format(const struct problem *problem, char *text, size_t size)
{
	if (problem->line)
		(void)snprintf(text, size, "%s:%u: %s", problem->file, problem->line, problem->text);
	else
		(void)snprintf(text, size, "%s: %s", problem->file, problem->text);
	text_make_printable(text);
	return text;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/text.h"
#include "json.h"

#define TEXT_MAX 2048

static const char *const words[] = {
	[REPORT_OK] = "ok",
	[REPORT_INFO] = "info",
	[REPORT_SKIP] = "skip",
	[REPORT_WARN] = "warn",
	[REPORT_FAIL] = "fail",
};

void report_deinit(struct report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		free(report->items[i].text);
		free(report->items[i].remedy);
	}
	free(report->items);
	*report = REPORT_NULL;
}

static char *format_text(struct report *report, const char *format, va_list ap)
{
	char text[TEXT_MAX], *copy;

	(void)vsnprintf(text, sizeof(text), format, ap);
	text_make_printable(text);
	copy = strdup(text);
	report->out_of_memory = report->out_of_memory || !copy;
	return copy;
}

static void add_line(struct report *report, enum report_result result, const char *format, va_list ap)
{
	struct report_line *line;
	char *text;

	if (ARRAY_RESERVE(report->items, report->n) < 0) {
		report->out_of_memory = true;
		return;
	}
	text = format_text(report, format, ap);
	if (!text)
		return;
	line = &report->items[report->n++];
	*line = (struct report_line){report->section, report->check, result, text, NULL};
	report->n_lines++;
}

static void add_more(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_more(struct report *report, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_line(report, report->more, format, ap);
	va_end(ap);
}

void report_end(struct report *report)
{
	if (report->n_more)
		add_more(report, "and %zu more of this kind", report->n_more);
	report->n_lines = report->n_more = 0;
	report->more = REPORT_OK;
}

void report_begin(struct report *report, const char *section, const char *check)
{
	report_end(report);
	report->section = section;
	report->check = check;
}

void report_add(struct report *report, enum report_result result, const char *format, ...)
{
	va_list ap;

	report->totals[result]++;
	if (report->n_lines == REPORT_LINES_MAX) {
		report->n_more++;
		if (result > report->more)
			report->more = result;
		return;
	}
	va_start(ap, format);
	add_line(report, result, format, ap);
	va_end(ap);
}

void report_remedy(struct report *report, const char *format, ...)
{
	struct report_line *line = report->n ? &report->items[report->n - 1] : NULL;
	va_list ap;

	/* its line is only counted */
	if (!line || report->n_more || line->remedy)
		return;
	va_start(ap, format);
	line->remedy = format_text(report, format, ap);
	va_end(ap);
}

void report_print(const struct report *report, bool legend)
{
	const char *section = "";

	for (size_t i = 0; i < report->n; i++) {
		const struct report_line *line = &report->items[i];

		if (legend && strcmp(section, line->section) != 0)
			(void)printf("%s%s\n", i ? "\n" : "", line->section);
		section = line->section;
		(void)printf("%-4s  %s: %s\n", words[line->result], line->check, line->text);
		if (line->remedy)
			(void)printf("      %s\n", line->remedy);
	}
	if (legend)
		(void)printf("\nwarnings: %zu, failures: %zu\n", report->totals[REPORT_WARN],
			report->totals[REPORT_FAIL]);
}

void report_print_json(const struct report *report)
{
	struct json json = JSON(stdout);

	json_open(&json, NULL, '{');
	json_open(&json, "findings", '[');
	for (size_t i = 0; i < report->n; i++) {
		const struct report_line *line = &report->items[i];

		json_open(&json, NULL, '{');
		json_string(&json, "section", line->section);
		json_string(&json, "check", line->check);
		json_string(&json, "result", words[line->result]);
		json_string(&json, "text", line->text);
		json_string(&json, "remedy", line->remedy);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

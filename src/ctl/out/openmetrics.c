/* SPDX-License-Identifier: BSD-3-Clause */
#include "openmetrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void openmetrics_family(
	struct openmetrics *metrics, const char *name, const char *type, const char *unit, const char *help)
{
	metrics->family = name;
	metrics->suffix = strcmp(type, "counter") == 0 ? "_total" : "";
	(void)fprintf(metrics->out, "# TYPE %s %s\n", name, type);
	if (unit)
		(void)fprintf(metrics->out, "# UNIT %s %s\n", name, unit);
	(void)fprintf(metrics->out, "# HELP %s %s\n", name, help);
}

static void write_label(FILE *out, char *separator, const char *name, const char *value)
{
	(void)fprintf(out, "%c%s=\"", *separator, name);
	for (; *value; value++) {
		if (*value == '\n') {
			(void)fputs("\\n", out);
			continue;
		}
		if (*value == '"' || *value == '\\')
			(void)fputc('\\', out);
		(void)fputc(*value, out);
	}
	(void)fputc('"', out);
	*separator = ',';
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789"), decimals;

	if (!digits || !text[digits])
		return digits;
	decimals = strspn(text + digits + 1, "0123456789");
	return text[digits] == '.' && decimals && !text[digits + 1 + decimals];
}

void openmetrics_sample(struct openmetrics *metrics, const char *value, ...)
{
	const char *name;
	char separator = '{';
	va_list labels;

	if (!value || !is_number(value))
		return;
	(void)fprintf(metrics->out, "%s%s", metrics->family, metrics->suffix);
	if (*metrics->broker)
		write_label(metrics->out, &separator, "broker", metrics->broker);
	va_start(labels, value);
	while ((name = va_arg(labels, const char *)))
		write_label(metrics->out, &separator, name, va_arg(labels, const char *));
	va_end(labels);
	(void)fprintf(metrics->out, "%s %s\n", separator == ',' ? "}" : "", value);
}

void openmetrics_end(struct openmetrics *metrics)
{
	(void)fputs("# EOF\n", metrics->out);
}

const char *openmetrics_number(uint64_t number, char text[static OPENMETRICS_TEXT_MAX])
{
	(void)snprintf(text, OPENMETRICS_TEXT_MAX, "%" PRIu64, number);
	return text;
}

const char *openmetrics_seconds(uint64_t number, int digits, char text[static OPENMETRICS_TEXT_MAX])
{
	uint64_t second = 1;
	char *end;

	for (int i = 0; i < digits; i++)
		second *= 10;
	end = text + snprintf(text, OPENMETRICS_TEXT_MAX, "%" PRIu64 ".%0*" PRIu64, number / second, digits,
			     number % second);
	while (end[-1] == '0' && end[-2] != '.')
		*--end = '\0';
	return text;
}

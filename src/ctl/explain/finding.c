/* SPDX-License-Identifier: BSD-3-Clause */
#include "finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "../../util/array.h"
#include "../../util/text.h"

void findings_deinit(struct findings *findings)
{
	free(findings->items);
	*findings = (struct findings){};
}

struct finding *findings_add(
	struct findings *findings, int severity, const char *code, const char *format, ...)
{
	struct finding *finding;
	va_list ap;

	if (ARRAY_RESERVE(findings->items, findings->n) < 0) {
		findings->out_of_memory = true;
		return NULL;
	}
	finding = &findings->items[findings->n++];
	*finding = (struct finding){.severity = severity, .code = code};
	va_start(ap, format);
	(void)vsnprintf(finding->text, sizeof(finding->text), format, ap);
	va_end(ap);
	text_make_printable(finding->text);
	return finding;
}

void finding_remedy(struct finding *finding, const char *format, ...)
{
	va_list ap;

	if (!finding)
		return;
	va_start(ap, format);
	(void)vsnprintf(finding->remedy, sizeof(finding->remedy), format, ap);
	va_end(ap);
	text_make_printable(finding->remedy);
}

void finding_command(struct finding *finding, const char *format, ...)
{
	va_list ap;

	if (!finding)
		return;
	va_start(ap, format);
	(void)vsnprintf(finding->command, sizeof(finding->command), format, ap);
	va_end(ap);
	text_make_printable(finding->command);
}

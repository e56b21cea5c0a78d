/* SPDX-License-Identifier: BSD-3-Clause */
#include "parser.h"

#include <stdarg.h>
#include <stdio.h>

void parser_complain(struct parser *parser, const char *format, ...)
{
	char text[512];
	va_list ap;
	int r;

	if (parser->error || parser->stop)
		return;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	r = problems_add(parser->problems, parser->rule.path, parser->line, "%s", text);
	if (!r && ++parser->n_problems == PARSE_PROBLEMS_MAX) {
		parser->stop = true;
		r = problems_add(parser->problems, parser->rule.path, 0,
			"%u problems were found; the rest of the file was not read", PARSE_PROBLEMS_MAX);
	}
	parser->error = r;
}

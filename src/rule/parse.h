/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A rule file while it is being read: what parse.c (lines and sections) and assign.c (keys and values) share. */

#include "rule.h"

/* After so many problems the rest of the file is not read. */
#define PARSE_PROBLEMS_MAX 100U

struct section;

struct parser {
	struct rule rule;
	const struct section *section; /* NULL before the first, or when it is unknown */
	bool skip;		       /* the section is unknown: one problem is enough */
	bool stop;		       /* too many problems */
	bool carriage_return;	       /* one problem is enough */
	unsigned line;
	unsigned discover_line; /* of the first [Discover] */
	int error;		/* a negative errno, sticky */
	struct problems *problems;
	unsigned n_problems;
};

/* parser_complain() - add a problem of the current line; failures go to parser->error */
void parser_complain(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* parser_enter() - a line [NAME] */
void parser_enter(struct parser *parser, const char *name);

/* parser_assign() - a line KEY=VALUE; @value is without blanks at both ends, and is cut into words in place */
void parser_assign(struct parser *parser, const char *key, char *value);

/* parser_set_default_bound() - where sockets may be bound when Bound= does not say; also frees what there was */
void parser_set_default_bound(struct parser *parser);

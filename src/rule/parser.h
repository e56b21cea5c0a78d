/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A rule file while it is being read: what parse.c (lines) and section*.c (keys and values) share. */

#include "rule.h"

/* After this many problems the rest of the file is not read. */
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
	unsigned relay_line;	/* of the first [Relay] */
	int error;		/* a negative errno, sticky */
	struct problems *problems;
	unsigned n_problems;
};

/* parser_complain() - add a problem of the current line; failures go to parser->error */
void parser_complain(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lines of a rule file
 *
 * Why not inih: the packaged library has a buffer of 200 bytes (INI_MAX_LINE), silently cuts sections and keys to 49
 * characters, and accepts "key: value" and indented continuation lines. Lists of matches are longer than that, and a
 * file that decides who gets traffic must be read exactly as documented. What inih would still do is less than this
 * file.
 *
 * Nothing here reads a byte that it has not checked: a line is clean text (no control character, valid UTF-8) before
 * anything interprets it. tests/fuzz/fuzz_rule.c runs this under the sanitizers.
 */
#include "parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../util/text.h"
#include "key.h"
#include "section.h"

/* Where the comment of a line starts, or its end: at a '#' or ';', first or after a blank */
static char *find_comment(char *line, char *end)
{
	/* few lines have a comment */
	if (!memchr(line, '#', (size_t)(end - line)) && !memchr(line, ';', (size_t)(end - line)))
		return end;
	for (char *s = line; s < end; s++)
		if ((*s == '#' || *s == ';') && (s == line || key_is_blank(s[-1])))
			return s;
	return end;
}

/* Cuts off a comment, and the blanks at both ends. */
static char *strip(char *line, size_t size)
{
	char *end = find_comment(line, line + size);

	while (end > line && key_is_blank(end[-1]))
		end--;
	*end = '\0';
	while (key_is_blank(*line))
		line++;
	return line;
}

static bool check_bytes(struct parser *parser, const char *text, size_t size)
{
	if (text_is_clean(text, size))
		return true;
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			parser_complain(parser,
				"byte %zu of the line is the control character 0x%02x; remove it", i + 1,
				byte);
		else
			continue;
		return false;
	}
	parser_complain(parser, "the line is not valid UTF-8; save the file as UTF-8");
	return false;
}

static void parse_section(struct parser *parser, char *text)
{
	size_t length = strlen(text);
	char quoted[TEXT_QUOTE_MAX];

	parser->section = NULL;
	parser->skip = true;
	if (text[length - 1] != ']') {
		parser_complain(parser, "%s: the closing bracket of the section is missing",
			text_quote(text, quoted));
		return;
	}
	text[length - 1] = '\0';
	section_enter(parser, text + 1);
}

static void parse_assignment(struct parser *parser, char *text)
{
	char *value = strchr(text, '=');
	char quoted[TEXT_QUOTE_MAX];
	size_t length;

	if (!value) {
		parser_complain(parser,
			"%s is neither [SECTION] nor KEY=VALUE; a line cannot be continued, repeat the key",
			text_quote(text, quoted));
		return;
	}
	length = (size_t)(value - text);
	while (length && key_is_blank(text[length - 1]))
		length--;
	*value++ = '\0';
	text[length] = '\0';
	while (key_is_blank(*value))
		value++;
	if (parser->skip)
		return;
	if (!length)
		parser_complain(parser, "the key before '=' is missing");
	else if (!parser->section)
		parser_complain(parser, "%s is before the first section; write [Rule] above it",
			text_quote(text, quoted));
	else
		section_assign(parser, text, value);
}

/* `line` is size + 1 bytes. */
static void parse_line(struct parser *parser, char *line, size_t size)
{
	if (size && line[size - 1] == '\r') {
		if (!parser->carriage_return)
			parser_complain(parser,
				"the line ends with a carriage return; save the file with Unix line ends");
		parser->carriage_return = true; /* all lines will have one */
		size--;
	}
	if (!check_bytes(parser, line, size))
		return;
	line = strip(line, size);
	if (*line == '[')
		parse_section(parser, line);
	else if (*line)
		parse_assignment(parser, line);
}

static int parse_text(struct parser *parser, const char *text, size_t size)
{
	static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};
	_cleanup_free_ char *line = malloc((size < RULE_LINE_MAX ? size : RULE_LINE_MAX) + 1);

	if (!line)
		return -ENOMEM;
	while (size && !parser->stop && !parser->error) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size, advance = end ? length + 1 : length;

		parser->line++;
		if (length > RULE_LINE_MAX) {
			parser_complain(parser,
				"the line is longer than %u bytes; repeat the key on another line",
				RULE_LINE_MAX);
		} else if (parser->line == 1 && length >= 3 && !memcmp(text, byte_order_mark, 3)) {
			parser_complain(parser,
				"the file starts with a byte order mark; save it as UTF-8 without one");
			parser->skip = true; /* the line may have been a section */
		} else {
			memcpy(line, text, length);
			parse_line(parser, line, length);
		}
		text += advance;
		size -= advance;
	}
	return parser->error;
}

/* Problems of the file as a whole; reported only if it has no others. */
static void check_rule(struct parser *parser)
{
	if (!parser->rule.n_matches) {
		parser->line = 0;
		parser_complain(parser, "the rule matches nothing; write Stream= or Datagram= under [Rule]");
	}
	section_access_check(parser);
	section_discover_check(parser);
	section_relay_check(parser);
}

int parse_rule(const char *name, const char *path, const char *text, size_t size, struct rule *ret,
	struct problems *problems)
{
	_cleanup_(rule_deinit) struct rule rule = {0};
	struct parser parser = {.problems = problems};
	int r;

	section_access_set_default_bound(&parser);
	parser.rule.name = strdup(name);
	parser.rule.path = strdup(path);
	if (!parser.rule.name || !parser.rule.path)
		parser.error = -ENOMEM;
	r = parser.error ? parser.error : parse_text(&parser, text, size);
	if (!r && !parser.n_problems) {
		check_rule(&parser);
		r = parser.error;
	}
	rule = parser.rule; /* released at return unless it is handed over */
	if (r < 0)
		return r;
	if (parser.n_problems)
		return RULE_BAD;
	*ret = rule;
	rule = (struct rule){0};
	return 0;
}

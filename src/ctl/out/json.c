/* SPDX-License-Identifier: BSD-3-Clause */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "../../util/macro.h"
#include "../../util/text.h"
#include "../../wire/words.h"

static void write_string(FILE *out, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);

	if (copy)
		text_make_printable(copy);
	(void)fputc('"', out);
	for (const char *c = copy ? copy : "?"; *c; c++) {
		if (*c == '"' || *c == '\\' || *c == '\t')
			(void)fputc('\\', out);
		(void)fputc(*c == '\t' ? 't' : *c, out);
	}
	(void)fputc('"', out);
}

static void new_line(struct json *json)
{
	if (!json->compact)
		(void)fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
}

static void begin_value(struct json *json, const char *key)
{
	if (json->filled)
		(void)fputc(',', json->out);
	if (json->depth > 0)
		new_line(json);
	json->filled = true;
	if (key) {
		write_string(json->out, key);
		(void)fputs(": ", json->out);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin_value(json, key);
	(void)fputc(bracket, json->out);
	json->depth++;
	json->filled = false;
}

void json_close(struct json *json, char bracket)
{
	json->depth--;
	if (json->filled)
		new_line(json);
	(void)fputc(bracket, json->out);
	json->filled = true;
	if (json->depth == 0)
		(void)fputc('\n', json->out);
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin_value(json, key);
	if (value)
		write_string(json->out, value);
	else
		(void)fputs("null", json->out);
}

void json_number(struct json *json, const char *key, const char *value)
{
	unsigned long number;

	if (!value || text_to_uint(value, ~0UL, &number) < 0) {
		json_string(json, key, value);
		return;
	}
	begin_value(json, key);
	(void)fprintf(json->out, "%lu", number);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_value(json, key);
	(void)fputs(value ? "true" : "false", json->out);
}

void json_text(struct json *json, const char *key, const char *value, enum json_type type)
{
	if (value && type == JSON_BOOL)
		json_bool(json, key, yes_from_word(value));
	else if (type == JSON_NUMBER)
		json_number(json, key, value);
	else
		json_string(json, key, value);
}

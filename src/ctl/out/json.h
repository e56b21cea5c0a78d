/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * JSON on standard output, one level of indentation for each object or array
 *
 * The caller opens and closes in pairs. A key is NULL inside an array and for the outermost object. Nothing here depends
 * on the locale. The stream keeps write errors; the caller sees them when it flushes.
 */

#include <stdbool.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned depth;
	bool filled;  /* the current object or array has a member */
	bool compact; /* all on one line */
};

#define JSON(stream) ((struct json){.out = (stream)})

void json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *json, char bracket);		  /* '}' or ']' */

/* json_string() - control characters and invalid UTF-8 become '?'; @value NULL is null */
void json_string(struct json *json, const char *key, const char *value);

/* json_number() - @value that is not a decimal number is written as a string; NULL is null */
void json_number(struct json *json, const char *key, const char *value);

void json_bool(struct json *json, const char *key, bool value);

/* The type of a value that is given as text */
enum json_type { JSON_STRING, JSON_NUMBER, JSON_BOOL /* "yes" is true */ };

/* json_text() - a value of that type; NULL is null */
void json_text(struct json *json, const char *key, const char *value, enum json_type type);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "fields.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define KEY_MAX 64

static bool is_listed(const char *key, const char *const *list)
{
	for (; *list; list++) {
		size_t length = strlen(*list);

		if ((*list)[length - 1] == '*' ? strncmp(key, *list, length - 1) == 0
					       : strcmp(key, *list) == 0)
			return true;
	}
	return false;
}

static bool is_framing(const char *key)
{
	return strcmp(key, "ROW") == 0 || strcmp(key, "OK") == 0;
}

void fields_print_json(const struct message *message, struct json *json, const char *const *numbers,
	const char *const *booleans)
{
	for (size_t i = 0; i < message->n_fields; i++) {
		const char *key = message->fields[i].key;
		enum json_type type = is_listed(key, numbers)	 ? JSON_NUMBER
				      : is_listed(key, booleans) ? JSON_BOOL
								 : JSON_STRING;
		char small[KEY_MAX] = "";

		if (is_framing(key))
			continue;
		for (size_t j = 0; key[j] && j < KEY_MAX - 1; j++)
			small[j] = (char)tolower((unsigned char)key[j]);
		json_text(json, small, message->fields[i].value, type);
	}
}

void fields_print_text(const struct message *message, FILE *out)
{
	for (size_t i = 0; i < message->n_fields; i++) {
		const char *key = message->fields[i].key;
		bool capital = true;

		if (is_framing(key))
			continue;
		for (; *key; key++) {
			if (*key != '_')
				(void)fputc(capital ? *key : tolower((unsigned char)*key), out);
			capital = *key == '_';
		}
		(void)fprintf(out, "=%s\n", message->fields[i].value);
	}
}

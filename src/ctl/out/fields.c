/* SPDX-License-Identifier: BSD-3-Clause */
#include "fields.h"

#include <ctype.h>
#include <stdbool.h>

#define WORD_MAX 64

static bool is_listed_key(enum message_key key, const enum message_key *list)
{
	while (*list != KEY_NONE && *list != key)
		list++;
	return *list != KEY_NONE;
}

static bool is_framing(enum message_key key)
{
	return key == KEY_ROW || key == KEY_OK;
}

void fields_print_json(const struct message *message, struct json *json, const enum message_key *numbers,
	const enum message_key *booleans)
{
	for (size_t i = 0; i < message->n_fields; i++) {
		enum message_key key = message->fields[i].key;
		const char *word = message->fields[i].word;
		enum json_type type = is_listed_key(key, numbers)    ? JSON_NUMBER
				      : is_listed_key(key, booleans) ? JSON_BOOL
								     : JSON_STRING;
		char small[WORD_MAX] = "";

		if (is_framing(key))
			continue;
		for (size_t j = 0; word[j] && j < WORD_MAX - 1; j++)
			small[j] = (char)tolower((unsigned char)word[j]);
		json_text(json, small, message->fields[i].value, type);
	}
}

void fields_print_text(const struct message *message, FILE *out)
{
	const char *device = message_get(message, KEY_DEVICE);

	for (size_t i = 0; i < message->n_fields; i++) {
		const char *word = message->fields[i].word;
		bool capital = true;

		if (is_framing(message->fields[i].key))
			continue;
		for (; *word; word++) {
			if (*word != '_')
				(void)fputc(capital ? *word : tolower((unsigned char)*word), out);
			capital = *word == '_';
		}
		(void)fprintf(out, "=%s", message->fields[i].value);
		if (message->fields[i].key == KEY_ADDRESS && device)
			(void)fprintf(out, "%%%s", device);
		(void)fputc('\n', out);
	}
}

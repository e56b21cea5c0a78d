/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../util/text.h"

#define KEY_LENGTH_MAX 32U

static bool key_is_valid(const char *word)
{
	size_t length = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return length >= 1 && length <= KEY_LENGTH_MAX && !word[length] && word[0] >= 'A' && word[0] <= 'Z';
}

static bool message_has(const struct message *message, enum message_key key, const char *word)
{
	for (size_t i = 0; i < message->n_fields; i++)
		if (message->fields[i].key == key &&
			(key != KEY_NONE || strcmp(message->fields[i].word, word) == 0))
			return true;
	return false;
}

/* Adds line @number, which is terminated and has no line feed. */
static int message_add_line(struct message *message, char *line, size_t number, struct refusal *refusal)
{
	enum message_key key = KEY_NONE;
	char *equals;

	if (message->n_fields == MESSAGE_FIELDS_MAX)
		return refuse(refusal, EBADMSG, "the message has more than %u lines", MESSAGE_FIELDS_MAX);
	if (!text_is_clean(line, strlen(line)))
		return refuse(refusal, EBADMSG,
			"line %zu of the message, '%.64s', has a control character or invalid UTF-8", number,
			line);
	equals = strchr(line, '=');
	if (!equals)
		return refuse(refusal, EBADMSG, "line %zu of the message, '%.64s', has no '='", number, line);
	*equals = '\0';
	if (!key_is_valid(line))
		return refuse(refusal, EBADMSG,
			"line %zu of the message: '%.64s' is not a key, which is 1 to %u characters of A-Z 0-9 _, the first a letter",
			number, line, KEY_LENGTH_MAX);
	(void)key_from_word(line, &key);
	if (message_has(message, key, line))
		return refuse(refusal, EBADMSG, "line %zu of the message: %s appears twice", number, line);
	message->fields[message->n_fields].key = key;
	message->fields[message->n_fields].word = line;
	message->fields[message->n_fields].value = equals + 1;
	message->n_fields++;
	return 0;
}

int message_parse(struct message *ret, char *text, size_t size, struct refusal *refusal)
{
	char *end = text + size;
	const char *nul;
	size_t number = 0;

	ret->n_fields = 0;
	if (!size)
		return refuse(refusal, EBADMSG, "the message is empty");
	nul = memchr(text, '\0', size);
	if (nul)
		return refuse(
			refusal, EBADMSG, "the message has a NUL byte at offset %zu", (size_t)(nul - text));

	for (char *line = text; line < end;) {
		char *feed = memchr(line, '\n', (size_t)(end - line));
		char *next = feed ? feed + 1 : end;
		int r;

		if (feed)
			*feed = '\0';
		r = message_add_line(ret, line, ++number, refusal);
		if (r != 0) {
			ret->n_fields = 0;
			return r;
		}
		line = next;
	}
	return 0;
}

const char *message_get(const struct message *message, enum message_key key)
{
	for (size_t i = 0; key != KEY_NONE && i < message->n_fields; i++)
		if (message->fields[i].key == key)
			return message->fields[i].value;
	return NULL;
}

void writer_put(struct writer *writer, enum message_key key, const char *format, ...)
{
	const char *word = key_word(key);
	char *field = writer->text + writer->size;
	size_t room = PACKET_TEXT_MAX - writer->size;
	size_t prefix = strlen(word) + 1; /* with the '=' */
	int length = -1;
	va_list ap;

	if (prefix < room) {
		(void)snprintf(field, room, "%s=", word);
		va_start(ap, format);
		length = vsnprintf(field + prefix, room - prefix, format, ap);
		va_end(ap);
	}
	/* The byte that vsnprintf() kept for its NUL is the one for the line feed. */
	if (length < 0 || (size_t)length >= room - prefix) {
		field[0] = '\0';
		writer->overflow = 1;
		return;
	}
	text_make_printable(field + prefix);
	field[prefix + (size_t)length] = '\n';
	writer->size += prefix + (size_t)length + 1;
	writer->text[writer->size] = '\0';
}

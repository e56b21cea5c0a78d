/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The text of a packet, which broker and client read from each other
 *
 * An accepted text must be one that docs/protocol.md allows, and must stay the same when it is written and read again. A
 * refusal must have a printable reason.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(const struct message *message)
{
	assert(message->n_fields >= 1 && message->n_fields <= MESSAGE_FIELDS_MAX);
	for (size_t i = 0; i < message->n_fields; i++) {
		const char *word = message->fields[i].word, *value = message->fields[i].value;
		enum message_key key = message->fields[i].key;
		size_t length = strlen(word);

		assert(length >= 1 && length <= 32);
		assert(word[0] >= 'A' && word[0] <= 'Z');
		assert(strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == length);
		assert(text_is_clean(value, strlen(value)));
		/* and no other of this key */
		assert(key == KEY_NONE ||
			(message_get(message, key) == value && !strcmp(key_word(key), word)));
	}
}

/* Only known keys; no others are written. */
static void check_round_trip(const struct message *message)
{
	struct writer writer = WRITER_NULL;
	struct refusal refusal;
	struct message again;
	size_t n = 0;

	for (size_t i = 0; i < message->n_fields; i++)
		if (message->fields[i].key != KEY_NONE)
			writer_put(&writer, message->fields[i].key, "%s", message->fields[i].value);
	if (writer.overflow || !writer.size)
		return;
	assert(writer.size == strlen(writer.text));
	assert(message_parse(&again, writer.text, writer.size, &refusal) == 0);
	for (size_t i = 0; i < message->n_fields; i++) {
		if (message->fields[i].key == KEY_NONE)
			continue;
		assert(again.fields[n].key == message->fields[i].key);
		assert(strcmp(again.fields[n].word, message->fields[i].word) == 0);
		assert(strcmp(again.fields[n++].value, message->fields[i].value) == 0);
	}
	assert(again.n_fields == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of the exact size, so that the sanitizer sees reads beyond it */
	char *text = malloc(size + 1);
	struct refusal refusal = {.error = 0};
	struct message message;

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (message_parse(&message, text, size, &refusal) == 0) {
		check_fields(&message);
		check_round_trip(&message);
	} else {
		assert(refusal.error == EBADMSG);
		assert(*refusal.text && text_is_clean(refusal.text, strlen(refusal.text)));
		assert(message.n_fields == 0);
	}
	free(text);
	return 0;
}

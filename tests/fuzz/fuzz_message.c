/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The text of a packet, which broker and client read from each other
 *
 * What is taken must be what docs/protocol.md says, and come out the same when it is written and read again. What is
 * refused must have a reason that can be shown.
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
		const char *key = message->fields[i].key, *value = message->fields[i].value;
		size_t length = strlen(key);

		assert(length >= 1 && length <= 32);
		assert(key[0] >= 'A' && key[0] <= 'Z');
		assert(strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == length);
		assert(text_is_clean(value, strlen(value)));
		assert(message_get(message, key) == value); /* and no other of this key */
	}
}

static void check_round_trip(const struct message *message)
{
	struct writer writer = WRITER_NULL;
	struct refusal refusal;
	struct message again;

	for (size_t i = 0; i < message->n_fields; i++)
		writer_put(&writer, message->fields[i].key, "%s", message->fields[i].value);
	if (writer.overflow)
		return;
	assert(writer.size == strlen(writer.text));
	assert(message_parse(&again, writer.text, writer.size, &refusal) == 0);
	assert(again.n_fields == message->n_fields);
	for (size_t i = 0; i < message->n_fields; i++) {
		assert(strcmp(again.fields[i].key, message->fields[i].key) == 0);
		assert(strcmp(again.fields[i].value, message->fields[i].value) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* To the byte, for the sanitizer to see what is read behind it. */
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

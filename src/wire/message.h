/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The text of a packet: lines KEY=VALUE, each ended by a line feed (the last one may lack it)
 *
 * A key is 1 to 32 characters of [A-Z0-9_], starting with a letter. A value is clean text (text.h) and may be
 * empty. docs/protocol.md lists the keys. A reader ignores unknown keys, so that either side can be the newer
 * one.
 */

#include <stddef.h>
#include <stdint.h>

#include "../util/error.h"
#include "packet.h"
#include "words.h"

#define MESSAGE_FIELDS_MAX 64U

struct message {
	size_t n_fields;
	struct {
		enum message_key key;	  /* KEY_NONE: one that this version does not know */
		const char *word, *value; /* into the text that was parsed */
	} fields[MESSAGE_FIELDS_MAX];
};

/*
 * message_parse() - split text into fields, in place
 * @text: @size bytes plus a terminating NUL; line feeds and '=' are overwritten; must outlive @ret
 *
 * Refused (EBADMSG): empty text, an embedded NUL, a control character (carriage return included), invalid
 * UTF-8, a line without '=', a bad key, a key that appears twice, more than MESSAGE_FIELDS_MAX lines. The
 * reason names the line.
 *
 * Return: 0 or REFUSED.
 */
int message_parse(struct message *ret, char *text, size_t size, struct refusal *refusal);

/* message_get() - the value of a key, or NULL */
const char *message_get(const struct message *message, enum message_key key);

/* Text under construction. Start with WRITER_NULL. */
struct writer {
	char text[PACKET_TEXT_MAX + 1];
	size_t size;
	int overflow; /* a field did not fit and was left out whole */
};

#define WRITER_NULL ((struct writer){.size = 0})

/* writer_put() - append KEY=VALUE; bytes of the value that are not clean text become '?' */
void writer_put(struct writer *writer, enum message_key key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The text of a datagram to the notify door
 *
 * The first byte is the number of descriptors. The result is always one of the actions with a printable name, or a
 * refusal with a printable reason.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"
#include "wire/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct notify *notify, size_t n_fds)
{
	size_t length = strlen(notify->name);

	assert(notify->action <= NOTIFY_REMOVE);
	assert(notify->action != NOTIFY_BARRIER || n_fds == 1);
	assert(length <= NOTIFY_NAME_MAX);
	assert(text_is_clean(notify->name, length) && !strchr(notify->name, ':'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct refusal refusal = {.error = 0};
	struct notify notify;
	size_t n_fds;
	char *text;

	if (!size)
		return 0;
	n_fds = data[0];
	text = malloc(size); /* of the exact size, so that the sanitizer sees reads beyond it */
	assert(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (notify_parse(&notify, text, size - 1, n_fds, &refusal) == 0) {
		check(&notify, n_fds);
	} else {
		assert(refusal.error == EBADMSG);
		assert(*refusal.text && text_is_clean(refusal.text, strlen(refusal.text)));
	}
	free(text);
	return 0;
}

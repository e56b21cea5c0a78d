/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The lists of a request that came with as many descriptors as the first byte says: NAME=, NAMES= and FDS=
 *
 * A list has as many words as are counted. The names of a request are one for all sockets, or one for each; what is too
 * long is cut to what is no name. A refusal has a printable reason.
 */

#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"
#include "wire/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_numbers(const char *list)
{
	const char *rest = list;
	size_t n = 0;

	while (rest) {
		unsigned long otherwise = (1UL << 31) + n++, number = names_next_number(&rest, otherwise);

		assert(number <= 1UL << 30 || number == otherwise);
	}
	assert(n == (list ? names_count(list) : 0));
}

/* Each name is a word of the list, which has no other words. */
static void check_names(const struct names *names, const char *list)
{
	for (size_t i = 0; i < names->n; i++) {
		size_t length = strlen(names->items[i]), of_word = strcspn(list, ":");

		assert(length <= NAME_LENGTH_MAX + 1 && strncmp(names->items[i], list, length) == 0);
		assert(length == of_word || (length < of_word && !name_is_valid(names->items[i])));
		list += of_word + (list[of_word] == ':');
	}
	assert(!*list);
}

static void check_sorted(const struct names *names)
{
	static struct names sorted;

	sorted = *names;
	names_sort(&sorted);
	assert(sorted.n >= 1 && sorted.n <= names->n);
	for (size_t i = 1; i < sorted.n; i++)
		assert(strcmp(sorted.items[i - 1], sorted.items[i]) < 0);
	for (size_t i = 0; i < names->n; i++)
		assert(names_contain(&sorted, names->items[i]));
}

static void check_request(const struct message *message, size_t n_fds)
{
	const char *name = message_get(message, KEY_NAME), *list = message_get(message, KEY_NAMES);
	char one[NAME_LENGTH_MAX + 1];
	struct refusal refusal = {.error = 0};
	static struct names names;
	const char *text = names_text(message, one);

	assert(!text == (!name && !list));
	if (names_read(message, n_fds, &names, &refusal) == 0) {
		assert(!name != !list);
		assert(names.n >= 1 && names.n <= PROTOCOL_NAMES_MAX);
		assert(name ? names.n == 1 : !n_fds || names.n == n_fds);
		if (list)
			check_names(&names, list);
		assert(!list || text == list || !strcmp(text, names.items[0]));
		check_sorted(&names);
	} else {
		assert(refusal.error > 0);
		assert(*refusal.text && text_is_clean(refusal.text, strlen(refusal.text)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct refusal refusal = {.error = 0};
	static struct message message;
	char *text;

	if (!size)
		return 0;
	text = malloc(size); /* of the exact size, so that the sanitizer sees reads beyond it */
	assert(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (message_parse(&message, text, size - 1, &refusal) == 0) {
		check_request(&message, data[0]);
		check_numbers(message_get(&message, KEY_FDS));
	}
	free(text);
	return 0;
}

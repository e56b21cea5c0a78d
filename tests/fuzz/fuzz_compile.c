/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rule files, and what they compile to
 *
 * The input is up to REFERENCE_RULES_MAX files with a form feed between them, which no valid file can contain. Rules
 * that compile must answer as the reference of the unit tests does, even if the last file is added by a reload. For
 * files alone there is fuzz_rule.c, which is much faster: an image has a word for each port.
 */

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../unit/reference.h"
#include "image/image.h"
#include "rule/parse.h"
#include "util/text.h"

#define SEPARATOR '\f'
#define PACKETS 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		const char *text = problems->items[i].text;

		assert(*text && text_is_clean(text, strlen(text)) && !strchr(text, '\n'));
	}
}

static void check_answers(struct reference *reference, const struct image *image)
{
	for (unsigned i = 0; i < PACKETS; i++) {
		const struct reference_rule *wanted;
		struct reference_packet packet;
		uint32_t word;

		reference_packet(reference, &packet);
		wanted = reference_answer(reference, &packet);
		word = image_lookup(image, packet.family, packet.protocol, packet.address, packet.port);
		assert(!!word == !!wanted);
		if (wanted)
			assert(!strcmp(image->seats[word].name, wanted->name) &&
				image->seats[word].pass == wanted->pass);
	}
}

/* @before: NULL, or the image of a part of this set, compiled before */
static struct image *check_compile(
	const struct rule_set *before_set, const struct image *before, const struct rule_set *set)
{
	static struct reference reference;
	struct problems problems = PROBLEMS_NULL;
	struct image *image = NULL;
	int r = before ? image_recompile(before_set, before, set, &image, &problems)
		       : image_compile(set, &image, &problems);

	assert(r >= 0);
	assert((r == 0) == (problems.n == 0));
	check_problems(&problems);
	if (r != IMAGE_TOO_LARGE && reference_import(&reference, set)) {
		assert((r == IMAGE_CONFLICT) == reference_has_conflict(&reference));
		if (r == 0)
			check_answers(&reference, image);
	}
	problems_deinit(&problems);
	return image;
}

static void check_set(const struct rule_set *set)
{
	struct rule_set fewer = {.rules = set->rules, .n_rules = set->n_rules ? set->n_rules - 1 : 0};
	struct image *before = check_compile(NULL, NULL, &fewer);

	image_free(check_compile(NULL, NULL, set));
	if (before)
		image_free(check_compile(&fewer, before, set));
	image_free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[REFERENCE_RULES_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = calloc(1, sizeof(*set));
	const char *text = (const char *)data;

	assert(set);
	set->rules = calloc(REFERENCE_RULES_MAX, sizeof(*set->rules));
	assert(set->rules);
	for (size_t i = 0; i < REFERENCE_RULES_MAX; i++) {
		const char *end = size ? memchr(text, SEPARATOR, size) : NULL;
		size_t length = end ? (size_t)(end - text) : size, before = problems.n;
		int r = parse_rule(names[i], "file", text, length, &set->rules[set->n_rules], &problems);

		assert(r == 0 || r == RULE_BAD);
		assert((r == 0) == (problems.n == before));
		set->n_rules += r == 0;
		if (!end)
			break;
		text = end + 1;
		size -= length + 1;
	}
	check_problems(&problems);
	check_set(set);
	rule_set_free(set);
	problems_deinit(&problems);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A rule file
 *
 * A file that parses must mean the same when it is written again in the canonical spelling. One that does not must
 * have problems with printable texts.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule/parse.h"
#include "rule/setting.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct writer {
	FILE *file;
	const char *section;
};

static int write_setting(const struct rule_setting *setting, void *userdata)
{
	struct writer *writer = userdata;

	if (!writer->section || strcmp(writer->section, setting->section) != 0)
		fprintf(writer->file, "[%s]\n", setting->section);
	writer->section = setting->section;
	fprintf(writer->file, "%s=%s\n", setting->key, setting->value);
	return 0;
}

/* A rule in its canonical spelling */
static char *write_rule(const struct rule *rule)
{
	struct writer writer = {0};
	size_t size;
	char *text;

	writer.file = open_memstream(&text, &size);
	assert(writer.file);
	assert(setting_foreach(rule, write_setting, &writer) == 0);
	assert(!fclose(writer.file));
	return text;
}

static void check_rule(const struct rule *rule)
{
	struct problems problems = PROBLEMS_NULL;
	char *text = write_rule(rule), *again;
	struct rule copy;

	for (size_t i = 0; i < rule->n_matches; i++)
		assert(rule->matches[i].first >= 1 && rule->matches[i].first <= rule->matches[i].last);
	assert(rule->n_matches);
	assert(parse_rule(rule->name, rule->path, text, strlen(text), &copy, &problems) == 0);
	again = write_rule(&copy);
	assert(!strcmp(text, again));
	rule_deinit(&copy);
	free(text);
	free(again);
}

static void check_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		const char *text = problems->items[i].text;

		assert(*text && text_is_clean(text, strlen(text)) && !strchr(text, '\n'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = PROBLEMS_NULL;
	/* of the exact size, so that the sanitizer sees reads beyond it */
	char *text = malloc(size ? size : 1);
	struct rule rule;
	int r;

	assert(text);
	if (size)
		memcpy(text, data, size);
	r = parse_rule("name", "file", text, size, &rule, &problems);
	assert(r == 0 || r == RULE_BAD);
	assert((r == 0) == (problems.n == 0));
	if (r == 0) {
		check_rule(&rule);
		rule_deinit(&rule);
	}
	check_problems(&problems);
	problems_deinit(&problems);
	free(text);
	return 0;
}

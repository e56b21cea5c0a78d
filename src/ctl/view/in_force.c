/* SPDX-License-Identifier: BSD-3-Clause */
#include "in_force.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../rule/parse.h"
#include "../../util/array.h"

struct placed {
	const struct setting *setting;
	size_t at; /* the values of one line keep the order of the list */
};

static int compare_lines(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->setting->line != y->setting->line)
		return x->setting->line < y->setting->line ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

/* As in the file, each setting in its own line: what the parser says about lines is then true. */
static void write_rule(const struct placed *settings, size_t n, FILE *text)
{
	const char *section = "";
	unsigned long line = 1;

	for (size_t i = 0; i < n; i++) {
		const struct setting *setting = settings[i].setting;
		bool header = strcmp(setting->section, section) != 0;
		bool more = i && settings[i - 1].setting->line == setting->line;

		if (!setting->line) /* a default */
			continue;
		/* a header is in a line of its own above */
		for (; line + header < setting->line; line++)
			(void)fputc('\n', text);
		if (header) {
			(void)fprintf(text, "[%s]\n", setting->section);
			line++;
		}
		if (more)
			(void)fprintf(text, " %s", setting->value);
		else
			(void)fprintf(text, "%s=%s", setting->key, setting->value);
		section = setting->section;
		if (i + 1 == n || settings[i + 1].setting->line != setting->line) {
			(void)fputc('\n', text);
			line++;
		}
	}
}

static int parse(struct setting **settings, size_t n, struct rule *ret)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_free_ struct placed *sorted = reallocarray(NULL, n, sizeof(*sorted));
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	bool failed;

	if (stream && sorted) {
		for (size_t i = 0; i < n; i++)
			sorted[i] = (struct placed){settings[i], i};
		qsort(sorted, n, sizeof(*sorted), compare_lines);
		write_rule(sorted, n, stream);
	}
	failed = !stream || !sorted || ferror(stream);
	if (stream && fclose(stream) != 0)
		failed = true;
	return failed ? -ENOMEM
		      : parse_rule(settings[0]->name, settings[0]->file, text, size, ret, &problems);
}

int in_force_parse(const struct settings *settings, struct rule_set **ret)
{
	_cleanup_(rule_set_freep) struct rule_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	for (size_t i = 0, n; i < settings->n; i += n) {
		for (n = 1; i + n < settings->n &&
			    strcmp(settings->items[i]->name, settings->items[i + n]->name) == 0;
			n++)
			;
		if (ARRAY_RESERVE(set->rules, set->n_rules) < 0)
			return -ENOMEM;
		r = parse(&settings->items[i], n, &set->rules[set->n_rules]);
		if (r)
			return r;
		set->n_rules++;
	}
	*ret = TAKE_PTR(set);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../rule/setting.h"
#include "../../util/array.h"
#include "../../util/text.h"
#include "../../util/transport.h"

void settings_deinit(struct settings *settings)
{
	for (size_t i = 0; i < settings->n; i++)
		free(settings->items[i]);
	free(settings->items);
	*settings = SETTINGS_NULL;
}

/* @setting: its strings are copied; `text` is ignored */
static int settings_add(struct settings *settings, const struct setting *setting)
{
	const char *const sources[] = {setting->name, setting->section, setting->key, setting->value,
		setting->file, setting->protocol, setting->prefix, setting->ports};
	struct setting *copy;
	size_t size = 0;
	char *end;

	if (ARRAY_RESERVE(settings->items, settings->n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		size += sources[i] ? strlen(sources[i]) + 1 : 0;
	copy = malloc(sizeof(*copy) + size);
	if (!copy)
		return -ENOMEM;
	*copy = *setting;
	const char **const targets[] = {&copy->name, &copy->section, &copy->key, &copy->value, &copy->file,
		&copy->protocol, &copy->prefix, &copy->ports};
	end = copy->text;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (!sources[i])
			continue;
		*targets[i] = end;
		end = stpcpy(end, sources[i]) + 1;
	}
	settings->items[settings->n++] = copy;
	return 0;
}

int settings_add_row(struct client *client, void *userdata)
{
	const struct message *message = &client->message;
	struct setting setting = {
		.name = ask_value(client, KEY_NAME, ""),
		.section = ask_value(client, KEY_SECTION, ""),
		.key = ask_value(client, KEY_KEY, ""),
		.value = ask_value(client, KEY_VALUE, ""),
		.file = ask_value(client, KEY_FILE, ""),
		.protocol = message_get(message, KEY_PROTOCOL),
		.prefix = message_get(message, KEY_PREFIX),
		.ports = message_get(message, KEY_PORTS),
	};

	if (text_to_uint(ask_value(client, KEY_LINE, "0"), ~0UL, &setting.line) < 0)
		setting.line = 0;
	return settings_add(userdata, &setting);
}

/* Userdata of add_setting() */
struct addition {
	struct settings *settings;
	const struct rule *rule;
};

static int add_setting(const struct rule_setting *from, void *userdata)
{
	const struct addition *addition = userdata;
	const struct rule_match *match = from->match;
	char prefix[PREFIX_TEXT_MAX], ports[RULE_MATCH_TEXT_MAX];
	struct setting setting = {
		.name = addition->rule->name,
		.section = from->section,
		.key = from->key,
		.value = from->value,
		.file = addition->rule->path,
		.line = from->line,
	};

	if (match) {
		setting.protocol = protocol_word(match->protocol);
		setting.prefix =
			match->prefix.family == AF_UNSPEC ? "*" : prefix_format(&match->prefix, prefix);
		setting.ports = rule_ports_format(match, ports);
	}
	return settings_add(addition->settings, &setting);
}

int settings_add_set(struct settings *settings, const struct rule_set *set)
{
	for (size_t i = 0; i < set->n_rules; i++) {
		struct addition addition = {settings, &set->rules[i]};
		int r = setting_foreach(&set->rules[i], add_setting, &addition);

		if (r)
			return r;
	}
	return 0;
}

int setting_compare(const struct setting *a, const struct setting *b)
{
	int r = strcmp(a->name, b->name);

	/* "Rule" before "Access" */
	if (!r)
		r = strcmp(b->section, a->section);
	if (!r)
		r = strcmp(a->key, b->key);
	return r ? r : strcmp(a->value, b->value);
}

static int compare_items(const void *a, const void *b)
{
	return setting_compare(*(struct setting *const *)a, *(struct setting *const *)b);
}

void settings_sort(struct settings *settings)
{
	if (settings->n > 0)
		qsort(settings->items, settings->n, sizeof(*settings->items), compare_items);
}

static int compare_setting_name(const void *name, const void *setting)
{
	return strcmp(name, (*(const struct setting *const *)setting)->name);
}

size_t settings_find(const struct settings *settings, const char *name)
{
	return array_lower_bound(
		name, settings->items, settings->n, sizeof(*settings->items), compare_setting_name);
}

void settings_count_changes(
	const struct settings *old, const struct settings *new, size_t *ret_added, size_t *ret_removed)
{
	*ret_added = *ret_removed = 0;
	for (size_t i = 0, j = 0; i < old->n || j < new->n;) {
		int order = i == old->n	  ? 1
			    : j == new->n ? -1
					  : setting_compare(old->items[i], new->items[j]);

		*ret_removed += order < 0 && old->items[i]->line;
		*ret_added += order > 0 && new->items[j]->line;
		i += order <= 0;
		j += order >= 0;
	}
}

const char *setting_source(const struct setting *setting, char *text, size_t size)
{
	if (setting->line == 0)
		(void)snprintf(text, size, "default");
	else
		(void)snprintf(text, size, "%s:%lu", setting->file, setting->line);
	return text;
}

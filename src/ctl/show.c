/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl show: everything about one name, as KEY=VALUE for programs: the settings, then each socket */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/fields.h"
#include "view/settings.h"

/* The output is collected, so that nothing is printed if the broker disappears halfway. */
struct page {
	char *text;
	size_t size;
	FILE *out;
	struct json json;
};

static void page_deinit(struct page *page)
{
	if (page->out)
		(void)fclose(page->out);
	free(page->text);
}

static void print_settings(const struct ctl *ctl, struct page *page, const struct settings *settings)
{
	if (!ctl->json) {
		(void)fprintf(page->out, "Name=%s\n", ctl->names[0]);
		if (settings->n > 0)
			(void)fprintf(page->out, "File=%s\n", settings->items[0]->file);
		for (size_t i = 0; i < settings->n; i++)
			(void)fprintf(page->out, "%s%s=%s\n",
				strcmp(settings->items[i]->section, "Rule") == 0
					? ""
					: settings->items[i]->section,
				settings->items[i]->key, settings->items[i]->value);
		return;
	}
	json_string(&page->json, "name", ctl->names[0]);
	json_open(&page->json, "settings", '[');
	for (size_t i = 0; i < settings->n; i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "%lu", settings->items[i]->line);
		json_open(&page->json, NULL, '{');
		json_string(&page->json, "section", settings->items[i]->section);
		json_string(&page->json, "key", settings->items[i]->key);
		json_string(&page->json, "value", settings->items[i]->value);
		json_string(&page->json, "file", settings->items[i]->file);
		json_number(&page->json, "line", line);
		json_close(&page->json, '}');
	}
	json_close(&page->json, ']');
}

static int print_socket_json(struct client *client, void *userdata)
{
	static const enum message_key numbers[] = {KEY_PLACE, KEY_PID, KEY_UID, KEY_GID, KEY_HANDED_IN,
		KEY_LOOKUPS, KEY_MISSING, KEY_REFUSED_FAMILY, KEY_REFUSED_PROTOCOL, KEY_REFUSED_STATE,
		KEY_REFUSED_EXISTS, KEY_REFUSED_DEVICE, KEY_REFUSED_OTHER, KEY_EVENTS_LOST, KEY_NONE};
	static const enum message_key booleans[] = {KEY_VERIFIED, KEY_HELD, KEY_DUAL_STACK, KEY_NONE};
	struct page *page = userdata;

	json_open(&page->json, NULL, '{');
	fields_print_json(&client->message, &page->json, numbers, booleans);
	json_close(&page->json, '}');
	return 0;
}

static int print_socket_text(struct client *client, void *userdata)
{
	struct page *page = userdata;

	(void)fputc('\n', page->out);
	fields_print_text(&client->message, page->out);
	return 0;
}

int verb_show(const struct ctl *ctl)
{
	_cleanup_(settings_deinit) struct settings settings = SETTINGS_NULL;
	_cleanup_(page_deinit) struct page page = {};
	int r;

	page.out = open_memstream(&page.text, &page.size);
	if (!page.out)
		return complain_memory();
	page.json = JSON(page.out);
	r = ask_each(ctl, REQUEST_RULES, "cannot show the rule", settings_add_row, &settings);
	if (r)
		return r;
	if (ctl->json)
		json_open(&page.json, NULL, '{');
	print_settings(ctl, &page, &settings);
	if (ctl->json)
		json_open(&page.json, "sockets", '[');
	r = ask_each(ctl, REQUEST_LIST, "cannot show the sockets",
		ctl->json ? print_socket_json : print_socket_text, &page);
	if (r)
		return r;
	if (ctl->json) {
		json_close(&page.json, ']');
		json_close(&page.json, '}');
	}
	if (fflush(page.out) == EOF || ferror(page.out))
		return complain_memory();
	(void)fwrite(page.text, 1, page.size, stdout);
	return EXIT_SUCCESS;
}

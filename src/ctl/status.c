/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl status: the state of broker and dispatch on one screen */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pins/folder.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/fields.h"
#include "out/since.h"

static const enum message_key numbers[] = {KEY_PROTOCOL, KEY_SCHEMA, KEY_PID, KEY_STARTED, KEY_GENERATION,
	KEY_APPLIED, KEY_RULES, KEY_MATCHES, KEY_NAMES, KEY_SOCKETS, KEY_HELD, KEY_LOOKUPS, KEY_MISSING,
	KEY_REFUSED, KEY_YIELDED, KEY_EVENTS_LOST, KEY_PROGRAM, KEY_LINK, KEY_NETNS, KEY_PROGRAMS,
	KEY_RELOADS, KEY_RELOADS_FAILED, KEY_HAND_INS, KEY_HAND_IN_NSEC, KEY_SESSIONS, KEY_SLOW_TURNS,
	KEY_FDS, KEY_FDS_MAX, KEY_RESIDENT, KEY_CPU, KEY_NONE};
static const enum message_key booleans[] = {KEY_NONE};

#define LINE(label, format, ...) printf("%11s: " format "\n", (label), __VA_ARGS__)

static const char *since(const char *microseconds, char *text, size_t size)
{
	char date[SINCE_TEXT_MAX], age[SINCE_TEXT_MAX];

	if (!since_date(microseconds, date) || !since_age(microseconds, age))
		return "?";
	(void)snprintf(text, size, "%s (%s ago)", date, age);
	return text;
}
#define SINCE(microseconds) since((microseconds), (char[SINCE_TEXT_MAX * 2 + 8]){0}, SINCE_TEXT_MAX * 2 + 8)

static void print_neighbours(const struct client *client)
{
	unsigned long n;

	if (text_to_uint(ask_value(client, KEY_PROGRAMS, "1"), ~0UL, &n) == 0 && n > 1)
		(void)LINE("Others",
			"%lu more sk_lookup program%s in this namespace, which may decide differently", n - 1,
			n == 2 ? "" : "s");
}

/* A link that somebody detached still exists, but belongs to no namespace. */
static bool is_attached(const struct client *client)
{
	return strcmp(ask_value(client, KEY_NETNS, "?"), "0") != 0;
}

static void print_status(const struct client *client)
{
	const char *instance = ask_value(client, KEY_INSTANCE, ""),
		   *reload = ask_value(client, KEY_RELOAD, "");
	enum reload_outcome outcome = RELOAD_OK;

#define VALUE(key) ask_value(client, (key), "?")
	(void)LINE("Broker", "usherd %s, pid %s, running since %s", VALUE(KEY_VERSION), VALUE(KEY_PID),
		SINCE(message_get(&client->message, KEY_STARTED)));
	if (*instance)
		(void)LINE("Instance", "%s", instance);
	(void)LINE("Speaks", "protocol %s, schema %s", VALUE(KEY_PROTOCOL), VALUE(KEY_SCHEMA));
	if (is_attached(client))
		(void)LINE("Dispatch", "program %s, link %s, network namespace %s", VALUE(KEY_PROGRAM),
			VALUE(KEY_LINK), VALUE(KEY_NETNS));
	else
		(void)LINE("Dispatch", "none: somebody detached link %s; 'usherctl reload' attaches it again",
			VALUE(KEY_LINK));
	print_neighbours(client);
	(void)LINE("Rules", "%s, matches: %s; generation %s, applied %s", VALUE(KEY_RULES),
		VALUE(KEY_MATCHES), VALUE(KEY_GENERATION), SINCE(message_get(&client->message, KEY_APPLIED)));
	(void)reload_from_word(reload, &outcome);
	if (outcome == RELOAD_FAILED)
		(void)LINE("Reload", "failed: %s", VALUE(KEY_RELOAD_REASON));
	else
		(void)LINE("Reload", "%s", *reload ? reload : "none yet");
	if (message_get(&client->message, KEY_FAULTS))
		(void)LINE("Faults",
			"rule files that could not be used at the start: %s; their names take no sockets: %s",
			VALUE(KEY_FAULTS), VALUE(KEY_FAULT));
	(void)LINE("Sockets", "%s under %s names, %s of them held", VALUE(KEY_SOCKETS), VALUE(KEY_NAMES),
		VALUE(KEY_HELD));
	(void)LINE("Lookups", "%s, of which %s missing and %s refused", VALUE(KEY_LOOKUPS),
		VALUE(KEY_MISSING), VALUE(KEY_REFUSED));
	if (strcmp(ask_value(client, KEY_YIELDED, "0"), "0") != 0)
		(void)LINE("Left", "%s packets to sockets of others, by rules with a later order",
			VALUE(KEY_YIELDED));
	if (message_get(&client->message, KEY_BLIND))
		(void)LINE("Order", "rules with a later order take nothing, since nothing is counted: %s",
			VALUE(KEY_BLIND));
	if (message_get(&client->message, KEY_UNCOUNTED))
		(void)LINE("Order",
			"rules with a later order take nothing at %s, where more sockets are bound than can be counted",
			VALUE(KEY_UNCOUNTED));
	(void)LINE("Events", "%s lost", VALUE(KEY_EVENTS_LOST));
#undef VALUE
}

static int not_running(const struct ctl *ctl, const struct refusal *refusal)
{
	static const struct {
		const char *word, *text;
	} states[] = {
		[PINS_FOLDER_NONE] = {"none", "none: there are no pins in"},
		[PINS_FOLDER_ATTACHED] = {"attached", "goes on without the broker, through the pins in"},
		[PINS_FOLDER_LEFTOVER] = {"none", "none: there is no link in"},
		[PINS_FOLDER_UNKNOWN] = {"unknown", "unknown: this user may not read"},
	};
	enum pins_folder_state state = pins_folder_look(ctl->instance.pins);
	struct json json = JSON(stdout);

	if (ctl->json) {
		json_open(&json, NULL, '{');
		json_bool(&json, "running", false);
		json_string(&json, "dispatch", states[state].word);
		json_close(&json, '}');
	} else {
		(void)LINE("Broker", "%s", "not running");
		(void)LINE("Dispatch", "%s %s", states[state].text, ctl->instance.pins);
	}
	return complain_refusal(CLIENT_ABSENT, refusal, "cannot ask for the status");
}

int verb_status(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct json json = JSON(stdout);
	struct refusal refusal;
	struct writer request;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT)
		return not_running(ctl, &refusal);
	client_begin(&request, REQUEST_STATUS);
	if (!r)
		r = ask(&client, &request, NULL, 0, NULL, NULL, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot ask for the status");
	if (!ctl->json) {
		print_status(&client);
		return EXIT_SUCCESS;
	}
	json_open(&json, NULL, '{');
	json_bool(&json, "running", true);
	json_string(&json, "dispatch", is_attached(&client) ? "attached" : "none");
	fields_print_json(&client.message, &json, numbers, booleans);
	json_close(&json, '}');
	return EXIT_SUCCESS;
}

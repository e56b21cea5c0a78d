/* SPDX-License-Identifier: BSD-3-Clause */
#include "explanation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../rule/match.h"
#include "../../util/array.h"
#include "../../util/destination.h"
#include "../../util/device.h"
#include "../../util/macro.h"
#include "../../util/netns.h"
#include "../../util/text.h"
#include "../../util/transport.h"
#include "../ask.h"

/* The broker is asked for the sockets of at most this many names that lost. */
#define RIVALS_MAX 8

static void refused_deinit(struct refused *refused)
{
	free(refused->name);
	free(refused->reason);
	free(refused->time);
	*refused = (struct refused){};
}

void explanation_deinit(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->n_covers; i++) {
		free(explanation->covers[i].name);
		free(explanation->covers[i].file);
		free(explanation->covers[i].text);
	}
	free(explanation->covers);
	for (size_t i = 0; i < explanation->n_places; i++) {
		free(explanation->places[i].unit);
		free(explanation->places[i].via);
		free(explanation->places[i].handed_in);
	}
	settings_deinit(&explanation->settings);
	refused_deinit(&explanation->refused);
	free(explanation->reload_failure);
	*explanation = EXPLANATION_NULL;
}

const struct explained_place *explanation_chosen(const struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->n_places; i++)
		if (explanation->cookie && explanation->places[i].cookie == explanation->cookie)
			return &explanation->places[i];
	return NULL;
}

static unsigned long to_number(const struct client *client, enum message_key key)
{
	unsigned long number;

	return text_to_uint(ask_value(client, key, "0"), ~0UL, &number) < 0 ? 0 : number;
}

static bool is_yes(const struct client *client, enum message_key key)
{
	return yes_from_word(message_get(&client->message, key));
}

/* NULL stays NULL */
static int copy_value(const struct client *client, enum message_key key, char **ret)
{
	const char *value = message_get(&client->message, key);

	if (!value)
		return 0;
	*ret = strdup(value);
	return *ret ? 0 : -ENOMEM;
}

static int read_refused(const struct client *client, struct refused *ret)
{
	int r;

	if (!message_get(&client->message, KEY_HAND_IN_REFUSED) || ret->reason)
		return 0;
	ret->pid = (pid_t)to_number(client, KEY_HAND_IN_REFUSED_PID);
	ret->uid = (uid_t)to_number(client, KEY_HAND_IN_REFUSED_UID);
	r = copy_value(client, KEY_HAND_IN_REFUSED, &ret->reason);
	if (!r)
		r = copy_value(client, KEY_HAND_IN_REFUSED_NAME, &ret->name);
	return r ? r : copy_value(client, KEY_HAND_IN_REFUSED_TIME, &ret->time);
}

/* ---- explain */

static int add_cover(struct client *client, void *userdata)
{
	struct explanation *explanation = userdata;
	struct cover *cover;
	struct refusal refusal;

	if (ARRAY_RESERVE(explanation->covers, explanation->n_covers) < 0)
		return -ENOMEM;
	cover = &explanation->covers[explanation->n_covers++];
	*cover = (struct cover){.line = to_number(client, KEY_LINE)};
	cover->name = strdup(ask_value(client, KEY_NAME, ""));
	cover->file = strdup(ask_value(client, KEY_FILE, ""));
	cover->text = strdup(ask_value(client, KEY_MATCH, "*"));
	if (!cover->name || !cover->file || !cover->text)
		return -ENOMEM;
	if (rule_match_parse(cover->text, &cover->match,
		    &refusal)) /* "*": only the reason in the text is less exact */
		(void)rule_match_parse("*", &cover->match, &refusal);
	return 0;
}

static int ask_verdict(struct client *client, const struct asked *asked, struct explanation *explanation,
	struct refusal *refusal)
{
	char device[DEVICE_TEXT_MAX];
	struct writer request;
	int r;

	client_begin(&request, REQUEST_EXPLAIN);
	writer_put(&request, KEY_PROTOCOL, "%s", protocol_word(asked->protocol));
	writer_put(&request, KEY_LOCAL, "%s", asked->text);
	if (*asked->from)
		writer_put(&request, KEY_REMOTE, "%s", asked->from);
	if (asked->ingress)
		writer_put(&request, KEY_DEVICE, "%s", device_format(asked->ingress, device));
	r = ask(client, &request, NULL, 0, add_cover, explanation, refusal);
	if (r)
		return r;
	(void)verdict_from_word(message_get(&client->message, KEY_VERDICT), &explanation->verdict);
	explanation->obstacle = OBSTACLE_UNKNOWN;
	(void)obstacle_from_word(message_get(&client->message, KEY_OBSTACLE), &explanation->obstacle);
	(void)snprintf(explanation->name, sizeof(explanation->name), "%s", ask_value(client, KEY_NAME, ""));
	(void)snprintf(
		explanation->error, sizeof(explanation->error), "%s", ask_value(client, KEY_ERROR, ""));
	(void)snprintf(explanation->generation, sizeof(explanation->generation), "%s",
		ask_value(client, KEY_GENERATION, ""));
	explanation->cookie = strtoull(ask_value(client, KEY_COOKIE, "0"), NULL, 16);
	explanation->n_left_out = to_number(client, KEY_LEFT_OUT);
	return read_refused(client, &explanation->refused);
}

/* ---- status */

static int ask_status(struct client *client, struct explanation *explanation, struct refusal *refusal)
{
	enum reload_outcome reload = RELOAD_OK;
	struct writer request;
	unsigned long netns;
	int r;

	client_begin(&request, REQUEST_STATUS);
	r = ask(client, &request, NULL, 0, NULL, NULL, refusal);
	if (r)
		return r;
	netns = to_number(client, KEY_NETNS);
	explanation->attached = netns != 0;
	explanation->foreign_namespace = netns_is_other(netns);
	explanation->broker = (pid_t)to_number(client, KEY_PID);
	if (message_get(&client->message, KEY_PROGRAMS))
		explanation->n_programs = to_number(client, KEY_PROGRAMS);
	(void)snprintf(explanation->instance, sizeof(explanation->instance), "%s",
		ask_value(client, KEY_INSTANCE, ""));
	(void)reload_from_word(message_get(&client->message, KEY_RELOAD), &reload);
	if (reload == RELOAD_FAILED) {
		r = copy_value(client, KEY_RELOAD_REASON, &explanation->reload_failure);
		if (r)
			return r;
	}
	return read_refused(client, &explanation->refused);
}

/* ---- list */

struct reading {
	const struct asked *asked;
	struct explanation *explanation;
};

static void read_seat(const struct client *client, uint8_t *protocol, int *family)
{
	*protocol = IPPROTO_TCP;
	*family = AF_INET;
	(void)protocol_from_word(message_get(&client->message, KEY_PROTOCOL), protocol);
	(void)family_from_word(message_get(&client->message, KEY_FAMILY), family);
}

static bool is_asked_seat(const struct client *client, const struct asked *asked)
{
	uint8_t protocol;
	int family;

	read_seat(client, &protocol, &family);
	return protocol == asked->protocol && family == asked->family;
}

static unsigned count_members(const struct explanation *explanation, unsigned number)
{
	unsigned n = 0;

	for (size_t i = 0; i < explanation->n_places; i++)
		n += explanation->places[i].number == number;
	return n;
}

/* Of a large group only the first ones, and the one that the program selects. */
static int add_place(struct client *client, void *userdata)
{
	const struct reading *reading = userdata;
	struct explanation *explanation = reading->explanation;
	struct rule_match match;
	struct refusal refusal;
	struct explained_place *place;
	uint64_t cookie;
	unsigned number;
	uint8_t protocol;
	int family, r;

	read_seat(client, &protocol, &family);
	if (message_get(&client->message, KEY_COOKIE))
		explanation->n_seated[protocol == IPPROTO_UDP][family == AF_INET6]++;
	if (!is_asked_seat(client, reading->asked))
		return 0;
	explanation->n_chosen_before += to_number(client, KEY_REFUSED_EXISTS);
	if (!message_get(&client->message, KEY_COOKIE) || explanation->n_places == PLACES_MAX)
		return 0;
	cookie = strtoull(ask_value(client, KEY_COOKIE, "0"), NULL, 16);
	number = (unsigned)to_number(client, KEY_PLACE);
	if (cookie != explanation->cookie && count_members(explanation, number) >= MEMBERS_SHOWN - 1)
		return 0;
	place = &explanation->places[explanation->n_places++];
	*place = (struct explained_place){
		.number = number,
		.cookie = cookie,
		.held = is_yes(client, KEY_HELD),
		.dual_stack = is_yes(client, KEY_DUAL_STACK),
		.serves = !strcmp(ask_value(client, KEY_STATE, ""), state_word(STATE_SERVING)),
		.stand_in =
			destination_parse(message_get(&client->message, KEY_DESTINATION)) & DESTINATION_DROPS,
		.pid = (pid_t)to_number(client, KEY_PID),
		.uid = (uid_t)to_number(client, KEY_UID),
	};
	(void)device_endpoint_join(
		ask_value(client, KEY_ADDRESS, "?"), message_get(&client->message, KEY_DEVICE), place->text);
	if (!rule_match_parse(ask_value(client, KEY_ADDRESS, "?"), &match, &refusal)) {
		place->family = match.prefix.family;
		memcpy(place->address, match.prefix.address, sizeof(place->address));
		place->port = match.first;
	}
	r = copy_value(client, KEY_UNIT, &place->unit);
	if (!r)
		r = copy_value(client, KEY_VIA, &place->via);
	return r ? r : copy_value(client, KEY_HANDED_IN, &place->handed_in);
}

/* The name may have disappeared after the broker gave its verdict: then there is nothing to add. */
static int ask_name(struct client *client, enum request_verb verb, const char *name,
	int (*row)(struct client *client, void *userdata), void *userdata, struct refusal *refusal)
{
	struct writer request;
	int r;

	client_begin(&request, verb);
	writer_put(&request, KEY_NAME, "%s", name);
	r = ask(client, &request, NULL, 0, row, userdata, refusal);
	return r == REFUSED && refusal->error == ENOENT ? 0 : r;
}

/* ---- those that lost */

struct rival {
	const struct asked *asked;
	bool has_socket;
};

static int look_for_socket(struct client *client, void *userdata)
{
	struct rival *rival = userdata;

	if (message_get(&client->message, KEY_COOKIE) && is_asked_seat(client, rival->asked))
		rival->has_socket = true;
	return 0;
}

static int ask_rivals(struct client *client, const struct asked *asked, struct explanation *explanation,
	struct refusal *refusal)
{
	size_t n = 0;

	for (size_t i = 0; i < explanation->n_covers; i++) {
		struct cover *cover = &explanation->covers[i];
		struct rival rival = {.asked = asked};
		bool seen = strcmp(cover->name, explanation->name) == 0;
		int r;

		for (size_t k = 0; k < i && !seen; k++)
			seen = strcmp(explanation->covers[k].name, cover->name) == 0;
		if (seen || n == RIVALS_MAX)
			continue;
		n++;
		r = ask_name(client, REQUEST_LIST, cover->name, look_for_socket, &rival, refusal);
		if (r)
			return r;
		cover->has_socket = rival.has_socket;
	}
	return 0;
}

/* ---- a hand-in under another name */

static int note_rule(struct client *client, void *userdata)
{
	(void)client;
	*(bool *)userdata = true;
	return 0;
}

/* A refused hand-in of another name that has a rule has nothing to do with this packet. */
static int check_refused(struct client *client, struct explanation *explanation, struct refusal *refusal)
{
	struct refused *refused = &explanation->refused;
	bool has_rule = false;
	int r;

	if (!refused->name || strcmp(refused->name, explanation->name) == 0)
		return 0;
	r = ask_name(client, REQUEST_RULES, refused->name, note_rule, &has_rule, refusal);
	if (!r && has_rule)
		refused_deinit(refused);
	return r;
}

int explanation_read(
	const struct ctl *ctl, const struct asked *asked, struct explanation *ret, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct reading reading = {.asked = asked, .explanation = ret};
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, refusal);
	if (!r)
		r = ask_verdict(&client, asked, ret, refusal);
	if (!r)
		r = ask_status(&client, ret, refusal);
	if (r || !*ret->name)
		return r;
	r = ask_name(&client, REQUEST_LIST, ret->name, add_place, &reading, refusal);
	if (!r)
		r = ask_name(&client, REQUEST_RULES, ret->name, settings_add_row, &ret->settings, refusal);
	if (!r)
		r = check_refused(&client, ret, refusal);
	if (!r && ret->verdict != VERDICT_DISPATCHED)
		r = ask_rivals(&client, asked, ret, refusal);
	return r;
}

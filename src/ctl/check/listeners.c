/* SPDX-License-Identifier: BSD-3-Clause */
#include "listeners.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../access/access.h"
#include "../../util/name.h"
#include "../../util/transport.h"
#include "../ask.h"
#include "../complain.h"
#include "../host/socket_owner.h"

void listeners_deinit(struct listeners *listeners)
{
	for (size_t i = 0; i < BYPASSED_MAX; i++)
		if (listeners->owners[i].pid)
			process_close(&listeners->owners[i]);
	bypassed_deinit(&listeners->bypassed);
	free(listeners->sockets);
	listeners->sockets = NULL;
}

/* Outcome of ask_broker() besides 0 and REFUSED */
enum { BROKER_SILENT = 2 };

static int ask_broker(const struct ctl *ctl, struct served *served, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, refusal);
	if (r)
		return BROKER_SILENT;
	r = served_check_namespace(&client, refusal);
	if (r)
		return refusal->error == EXDEV ? r : BROKER_SILENT;
	r = served_read(&client, served, refusal);
	return r == REFUSED ? BROKER_SILENT : r;
}

static int find_bypassed_owners(struct listeners *listeners)
{
	struct diag_socket sockets[BYPASSED_MAX];

	for (size_t i = 0; i < listeners->bypassed.n; i++)
		sockets[i] = *listeners->bypassed.items[i].socket;
	return socket_owner_find(sockets, listeners->bypassed.n, 0, listeners->owners, NULL);
}

int listeners_look(
	const struct ctl *ctl, const struct rule_set *set, struct image *image, struct listeners *ret)
{
	_cleanup_(served_deinit) struct served served = SERVED_NULL;
	_cleanup_free_ uint16_t *ports = calloc(USHER_PORTS, sizeof(*ports));
	bool answered;
	size_t n;
	int r;

	*ret = (struct listeners){};
	for (size_t i = 0; i < BYPASSED_MAX; i++)
		ret->owners[i] = PROCESS_NULL;
	if (!ports)
		return -ENOMEM;
	n = bypassed_ports(image, ports);
	if (n == 0)
		return 0;
	r = ask_broker(ctl, &served, &ret->unknown);
	if (r < 0 || r == REFUSED)
		return r < 0 ? r : 0;
	answered = r == 0;
	ret->unknown.error = 0;
	r = diag_dump(0, ports, n, &ret->sockets, &ret->n_sockets, &ret->unknown);
	if (r)
		return r < 0 ? r : 0;
	r = bypassed_find(
		set, image, ret->sockets, ret->n_sockets, answered ? &served : NULL, &ret->bypassed);
	return r < 0 ? r : find_bypassed_owners(ret);
}

#define TAKEN_MAX (RULE_MATCH_TEXT_MAX + 8)

/* "192.0.2.0/24:443", "192.0.2.1:443", "port 443" */
static const char *describe_taken(const struct bypassed *bypassed, char text[static TAKEN_MAX])
{
	struct rule_match match = {
		.prefix = bypassed->taken, .first = bypassed->socket->port, .last = bypassed->socket->port};
	char place[RULE_MATCH_TEXT_MAX];

	if (!match.prefix.length && bypassed->match->prefix.family == AF_UNSPEC)
		match.prefix.family = AF_UNSPEC;
	(void)snprintf(text, TAKEN_MAX, "%s%s", match.prefix.family == AF_UNSPEC ? "port " : "",
		rule_match_format_brief(&match, place));
	return text;
}

const char *listeners_describe(
	const struct bypassed *bypassed, const struct process *owner, char text[static LISTENERS_TEXT_MAX])
{
	const struct diag_socket *socket = bypassed->socket;
	const char *name = bypassed->rule->name;
	char taken[TAKEN_MAX], who[SOCKET_OWNER_TEXT_MAX], endpoint[ENDPOINT_TEXT_MAX],
		where[ENDPOINT_TEXT_MAX + 8] = "there";
	char condition[NAME_LENGTH_MAX + 64] = "";

	(void)endpoint_format(socket->family, socket->address, socket->port, endpoint);
	(void)describe_taken(bypassed, taken);
	if (strcmp(taken, endpoint) != 0)
		(void)snprintf(where, sizeof(where), "on %s", endpoint);
	if (bypassed->rule->missing_pass)
		(void)snprintf(condition, sizeof(condition), ", while a socket is handed in as '%s'", name);
	(void)snprintf(text, LISTENERS_TEXT_MAX, "'%s' takes %s %s%s from %s, which listens %s%s", name,
		protocol_word(socket->protocol), taken, bypassed->more ? " and more" : "",
		socket_owner_format(socket, owner, who), where, condition);
	return text;
}

static bool is_within_bound(const struct bypassed *bypassed)
{
	const uint8_t *address;
	int family = diag_address(bypassed->socket, &address);
	struct refusal refusal;

	return !access_check_bound(bypassed->rule, family, address, bypassed->socket->port, &refusal);
}

const char *listeners_remedy(
	const struct bypassed *bypassed, const struct process *owner, char text[static LISTENERS_TEXT_MAX])
{
	if (bypassed->described)
		(void)snprintf(text, LISTENERS_TEXT_MAX,
			"[Discover] describes it: see 'usherctl discover --dry-run %s', or narrow the match",
			bypassed->rule->name);
	else if (socket_owner_is_absent(bypassed->socket, owner))
		(void)snprintf(
			text, LISTENERS_TEXT_MAX, "narrow the match: no process can hand that socket in");
	else if (bypassed->socket->mptcp)
		(void)snprintf(
			text, LISTENERS_TEXT_MAX, "narrow the match: an MPTCP listener cannot be handed in");
	else if (!is_within_bound(bypassed))
		(void)snprintf(text, LISTENERS_TEXT_MAX,
			"narrow the match, or have the service listen on an address within Bound= of the rule and hand that socket in");
	else
		(void)snprintf(text, LISTENERS_TEXT_MAX, "hand that socket in, or narrow the match");
	return text;
}

#define WARNING_MAX (2 * LISTENERS_TEXT_MAX)

static const char *warn(
	const struct bypassed *bypassed, const struct process *owner, char text[static WARNING_MAX])
{
	char what[LISTENERS_TEXT_MAX], remedy[LISTENERS_TEXT_MAX];

	(void)snprintf(text, WARNING_MAX, "%s; %s", listeners_describe(bypassed, owner, what),
		listeners_remedy(bypassed, owner, remedy));
	return text;
}

void listeners_print(const struct listeners *listeners, const struct rule_set *set)
{
	const struct bypassed_list *list = &listeners->bypassed;
	size_t n_lines = 0, n_rules = 0;
	char text[WARNING_MAX];

	if (listeners->unknown.error)
		complain("warning: cannot tell whether rules bypass listening sockets: %s",
			listeners->unknown.text);
	for (size_t i = 0; i < list->n; i++)
		(void)fprintf(stderr, "%s:%u: warning: %s\n", list->items[i].rule->path,
			list->items[i].match->line, warn(&list->items[i], &listeners->owners[i], text));
	for (size_t i = 0; list->n_all > list->n && i < set->n_rules; i++) {
		if (!list->n_more[i])
			continue;
		if (n_lines++ < BYPASSED_MAX)
			(void)fprintf(stderr,
				"%s: warning: '%s' takes packets from %zu more listening sockets\n",
				set->rules[i].path, set->rules[i].name, list->n_more[i]);
		else
			n_rules++;
	}
	if (n_rules)
		complain("warning: %zu more rules take packets from listening sockets", n_rules);
}

static void print_bypassed_json(
	const struct bypassed *bypassed, const struct process *owner, struct json *json)
{
	const struct diag_socket *socket = bypassed->socket;
	char text[WARNING_MAX], number[32];

	json_open(json, NULL, '{');
	json_string(json, "file", bypassed->rule->path);
	(void)snprintf(number, sizeof(number), "%u", bypassed->match->line);
	json_number(json, "line", number);
	json_string(json, "name", bypassed->rule->name);
	json_string(json, "proto", protocol_word(socket->protocol));
	json_string(json, "address", endpoint_format(socket->family, socket->address, socket->port, text));
	(void)snprintf(text, sizeof(text), "sk:%" PRIx64, socket->cookie);
	json_string(json, "socket", text);
	json_string(json, "process", owner->pid ? owner->name : NULL);
	(void)snprintf(number, sizeof(number), "%d", owner->pid);
	json_number(json, "pid", owner->pid ? number : NULL);
	(void)snprintf(number, sizeof(number), "%u", owner->pid ? owner->uid : socket->uid);
	json_number(json, "uid", number);
	json_string(json, "unit", owner->unit && *owner->unit ? owner->unit : NULL);
	json_string(json, "warning", warn(bypassed, owner, text));
	json_close(json, '}');
}

void listeners_print_json(const struct listeners *listeners, struct json *json)
{
	const struct bypassed_list *list = &listeners->bypassed;
	char number[32];

	json_open(json, "warnings", '[');
	for (size_t i = 0; i < list->n; i++)
		print_bypassed_json(&list->items[i], &listeners->owners[i], json);
	json_close(json, ']');
	(void)snprintf(number, sizeof(number), "%zu", list->n_all - list->n);
	json_number(json, "warnings_left_out", number);
}

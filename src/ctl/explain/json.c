/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>

#include "../../util/device.h"
#include "../../util/transport.h"
#include "../out/json.h"
#include "print.h"

/* 64-bit cookies are strings, as in every JSON of usherctl; 0 is null */
static void put_cookie(struct json *json, uint64_t cookie)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "sk:%" PRIx64, cookie);
	json_string(json, "socket", cookie ? text : NULL);
}

static void put_number(struct json *json, const char *key, unsigned long number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lu", number);
	json_number(json, key, text);
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static void put_queue(struct json *json, const struct diag_socket *socket)
{
	if (socket)
		put_number(json, "queue", socket->queue);
	else
		json_string(json, "queue", NULL);
	if (socket && socket->protocol == IPPROTO_TCP)
		put_number(json, "queue_max", socket->queue_max);
	else
		json_string(json, "queue_max", NULL);
}

static void put_pid(struct json *json, pid_t pid)
{
	if (pid)
		put_number(json, "pid", (unsigned long)pid);
	else
		json_string(json, "pid", NULL);
}

static void print_cover(struct json *json, const struct explanation *explanation, const struct cover *cover)
{
	json_open(json, NULL, '{');
	json_string(json, "name", cover->name);
	json_string(json, "match", cover->text);
	json_bool(json, "winner", cover == explanation->covers);
	json_string(json, "result", explain_cover_result(explanation, cover));
	json_string(json, "file", cover->file);
	put_number(json, "line", cover->line);
	json_close(json, '}');
}

static void print_place(
	struct json *json, const struct evidence *evidence, const struct explained_place *place)
{
	const struct explanation *explanation = evidence->explanation;
	const struct place_seen *seen = &evidence->host->places[place - explanation->places];
	uint32_t device = evidence_place_device(evidence, place);
	char text[ENDPOINT_TEXT_MAX], name[DEVICE_TEXT_MAX];

	json_open(json, NULL, '{');
	put_number(json, "place", place->number);
	json_string(json, "state", explain_place_state(explanation, place));
	put_cookie(json, place->cookie);
	json_string(json, "address",
		place->family ? endpoint_format(place->family, place->address, place->port, text) : NULL);
	json_string(json, "device", device ? device_format(device, name) : NULL);
	put_queue(json, seen->socket);
	put_number(json, "group", seen->n_group);
	put_pid(json, place->pid);
	json_string(json, "process", seen->registrant.pid ? seen->registrant.name : NULL);
	put_number(json, "uid", place->uid);
	json_string(json, "unit", place->unit);
	json_string(json, "via", place->via);
	json_number(json, "handed_in", place->handed_in);
	json_bool(json, "held", place->held);
	json_bool(json, "dual_stack", place->dual_stack);
	json_close(json, '}');
}

static void print_listener(struct json *json, const struct listener *listener, bool gets)
{
	const struct diag_socket *socket = listener->socket;
	const struct process *owner = &listener->owner;
	char text[ENDPOINT_TEXT_MAX], interface[IF_NAMESIZE];

	json_open(json, NULL, '{');
	json_string(json, "address", endpoint_format(socket->family, socket->address, socket->port, text));
	json_string(
		json, "interface", socket->interface ? if_indextoname(socket->interface, interface) : NULL);
	put_cookie(json, socket->cookie);
	json_bool(json, "gets_it", gets);
	json_bool(json, "mptcp", socket->mptcp);
	put_queue(json, socket);
	put_pid(json, owner->pid);
	json_string(json, "process", owner->pid ? owner->name : NULL);
	put_number(json, "uid", owner->pid ? owner->uid : socket->uid);
	json_string(json, "unit", or_null(owner->unit));
	json_close(json, '}');
}

static void print_finding(struct json *json, const struct finding *finding)
{
	static const char *const severities[] = {
		[FINDING_FAIL] = "fail", [FINDING_WARN] = "warn", [FINDING_NOTE] = "note"};

	json_open(json, NULL, '{');
	json_string(json, "severity", severities[finding->severity]);
	json_string(json, "code", finding->code);
	json_string(json, "text", finding->text);
	json_string(json, "remedy", or_null(finding->remedy));
	json_string(json, "command", or_null(finding->command));
	json_close(json, '}');
}

void explain_print_json(const struct evidence *evidence, const struct diagnosis *diagnosis)
{
	const struct explanation *explanation = evidence->explanation;
	const struct host_view *host = evidence->host;
	const struct asked *asked = evidence->asked;
	const struct listener *taker = host_view_taker(host);
	bool passed = diagnosis->arrives == ARRIVAL_YES && explanation->verdict != VERDICT_DISPATCHED;
	char device[DEVICE_TEXT_MAX];
	struct json json = JSON(stdout);

	json_open(&json, NULL, '{');
	json_string(&json, "protocol", protocol_word(asked->protocol));
	json_string(&json, "local", evidence->question->text);
	json_string(&json, "sent_to", evidence->passage->sent ? asked->text : NULL);
	json_string(&json, "remote", or_null(asked->from));
	json_string(&json, "device", or_null(device_format(asked->device, device)));
	json_string(&json, "summary", diagnosis->sentence);
	if (diagnosis->arrives == ARRIVAL_UNDECIDED)
		json_string(&json, "arrives", NULL);
	else
		json_bool(&json, "arrives", diagnosis->arrives == ARRIVAL_YES);
	json_string(&json, "verdict", verdict_word(explanation->verdict));
	json_string(&json, "obstacle",
		explanation->verdict == VERDICT_YIELDED ? obstacle_word(explanation->obstacle) : NULL);
	json_string(&json, "name", or_null(explanation->name));
	put_cookie(&json, explanation->cookie);
	json_string(&json, "error", or_null(explanation->error));
	json_number(&json, "generation", or_null(explanation->generation));
	json_bool(&json, "attached", explanation->attached);
	json_string(&json, "route", route_word(host->reach.route));
	put_number(&json, "programs", explanation->n_programs);
	json_open(&json, "rules", '[');
	for (size_t i = 0; i < explanation->n_covers; i++)
		print_cover(&json, explanation, &explanation->covers[i]);
	json_close(&json, ']');
	put_number(&json, "rules_left_out", explanation->n_left_out);
	json_open(&json, "sockets", '[');
	for (size_t i = 0; i < explanation->n_places; i++)
		print_place(&json, evidence, &explanation->places[i]);
	json_close(&json, ']');
	json_open(&json, "listeners", '[');
	for (size_t i = 0; i < host->takers.n; i++)
		print_listener(&json, &host->takers.items[i], passed && &host->takers.items[i] == taker);
	json_close(&json, ']');
	put_number(&json, "listeners_left_out", host->takers.n_all - host->takers.n);
	json_open(&json, "findings", '[');
	for (size_t i = 0; i < diagnosis->findings.n; i++)
		print_finding(&json, &diagnosis->findings.items[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

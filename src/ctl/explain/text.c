/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../out/grid.h"
#include "print.h"

#define WIDTH 80
#define CELL_MAX 4200 /* a path and a line number */

const char *explain_cover_result(const struct explanation *explanation, const struct cover *cover)
{
	const struct cover *winner = &explanation->covers[0];

	if (cover == winner)
		return "wins";
	if (strcmp(cover->name, winner->name) == 0)
		return "same name";
	return cover->match.prefix.length < winner->match.prefix.length ? "shorter prefix" : "more ports";
}

const char *explain_place_state(const struct explanation *explanation, const struct explained_place *place)
{
	const struct explained_place *chosen = explanation_chosen(explanation);

	if (place == chosen || (chosen && place > chosen && place->serves && chosen->serves))
		return state_word(STATE_SERVING);
	return chosen && place > chosen ? state_word(STATE_STANDBY) : "unusable";
}

/* ---- tables */

static int set_cells(struct grid *grid, const char *const *values, size_t n)
{
	int r = grid_row(grid);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = grid_set(grid, i, values[i]);
	return r;
}

static const char *format_queue(const struct diag_socket *socket, char text[static 32])
{
	if (!socket)
		return NULL;
	if (socket->protocol == IPPROTO_TCP)
		(void)snprintf(text, 32, "%u/%u", socket->queue, socket->queue_max);
	else
		(void)snprintf(text, 32, "%uB", socket->queue);
	return text;
}

static const char *format_pid(pid_t pid, char text[static 32])
{
	if (!pid)
		return NULL;
	(void)snprintf(text, 32, "%d", pid);
	return text;
}

static int print_covers(const struct ctl *ctl, const struct explanation *explanation)
{
	static const struct column columns[] = {{"NAME"}, {"MATCH"}, {"RESULT"}, {"SOURCE"}};
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	char source[CELL_MAX];
	int r;

	if (!explanation->n_covers)
		return 0;
	(void)printf("\nMatching rules, strongest first:\n");
	r = grid_init(&grid, ctl, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; !r && i < explanation->n_covers; i++) {
		const struct cover *cover = &explanation->covers[i];

		(void)snprintf(source, sizeof(source), "%s:%lu", cover->file, cover->line);
		r = set_cells(&grid,
			(const char *[]){
				cover->name, cover->text, explain_cover_result(explanation, cover), source},
			ARRAY_SIZE(columns));
	}
	if (!r)
		r = grid_print(&grid, NULL);
	if (!r && explanation->n_left_out)
		(void)printf("and %zu more\n", explanation->n_left_out);
	return r;
}

static int print_places(const struct ctl *ctl, const struct evidence *evidence)
{
	static const struct column columns[] = {{"STATE"}, {"SOCKET"}, {"ADDRESS"}, {"QUEUE"},
		{"PID", JSON_NUMBER}, {"PROCESS"}, {"UNIT"}, {"HELD"}};
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	const struct explanation *explanation = evidence->explanation;
	char cookie[32], queue[32], pid[32], address[ENDPOINT_TEXT_MAX];
	int r;

	if (!explanation->n_places)
		return 0;
	(void)printf("\nSockets of '%s' for %s over %s:\n", explanation->name,
		protocol_name(evidence->asked->protocol), family_name(evidence->asked->family));
	r = grid_init(&grid, ctl, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; !r && i < explanation->n_places; i++) {
		const struct explained_place *place = &explanation->places[i];
		const struct place_seen *seen = &evidence->host->places[i];

		(void)snprintf(cookie, sizeof(cookie), "sk:%" PRIx64, place->cookie);
		r = set_cells(&grid,
			(const char *[]){explain_place_state(explanation, place), cookie,
				evidence_place_address(evidence, place, address),
				format_queue(seen->socket, queue), format_pid(place->pid, pid),
				seen->registrant.pid ? seen->registrant.name : NULL, place->unit,
				yes_word(place->held)},
			ARRAY_SIZE(columns));
	}
	return r ? r : grid_print(&grid, NULL);
}

static int print_listeners(const struct ctl *ctl, const struct evidence *evidence)
{
	static const struct column columns[] = {{"ADDRESS"}, {"INTERFACE"}, {"SOCKET"}, {"QUEUE"},
		{"PID", JSON_NUMBER}, {"PROCESS"}, {"UNIT"}};
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	const struct explanation *explanation = evidence->explanation;
	const struct listener_list *list = &evidence->host->takers;
	bool passed = !explanation->attached || explanation->verdict == VERDICT_NO_RULE ||
		      explanation->verdict == VERDICT_PASSED || explanation->verdict == VERDICT_YIELDED;
	char address[ENDPOINT_TEXT_MAX], interface[IF_NAMESIZE], cookie[32], queue[32], pid[32];
	int r;

	if (!list->n)
		return 0;
	(void)printf("\nAlso listening there, best match first%s:\n", passed ? "" : "; they get nothing");
	r = grid_init(&grid, ctl, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; !r && i < list->n; i++) {
		const struct diag_socket *socket = list->items[i].socket;
		const struct process *owner = &list->items[i].owner;

		(void)snprintf(cookie, sizeof(cookie), "sk:%" PRIx64, socket->cookie);
		r = set_cells(&grid,
			(const char *[]){
				endpoint_format(socket->family, socket->address, socket->port, address),
				socket->interface ? if_indextoname(socket->interface, interface) : NULL,
				cookie, format_queue(socket, queue), format_pid(owner->pid, pid),
				owner->pid ? owner->name : NULL, owner->unit},
			ARRAY_SIZE(columns));
	}
	if (!r)
		r = grid_print(&grid, NULL);
	if (!r && list->n_all > list->n)
		(void)printf("and %zu more\n", list->n_all - list->n);
	return r;
}

/* ---- paragraphs */

/* Words are never cut, so that a path can be copied. Continuation bytes of UTF-8 take no column. */
static size_t width_of(const char *word, size_t size)
{
	size_t width = 0;

	for (size_t i = 0; i < size; i++)
		width += ((unsigned char)word[i] & 0xc0) != 0x80;
	return width;
}

static void print_item(const char *text)
{
	size_t column = 3;

	(void)fputs("  -", stdout);
	while (*text) {
		size_t size = strcspn(text, " "), width = width_of(text, size);

		if (column + 1 + width > WIDTH && column > 3) {
			(void)fputs("\n   ", stdout);
			column = 3;
		}
		(void)printf(" %.*s", (int)size, text);
		column += 1 + width;
		text += size;
		text += strspn(text, " ");
	}
	(void)putchar('\n');
}

static void print_items(const char *title, const struct diagnosis *diagnosis, bool notes)
{
	bool any = false;

	for (size_t i = 0; i < diagnosis->findings.n; i++) {
		const struct finding *finding = &diagnosis->findings.items[i];

		if ((finding->severity == FINDING_NOTE) != notes)
			continue;
		if (!any)
			(void)printf("\n%s:\n", title);
		any = true;
		print_item(finding->text);
	}
}

/* A remedy that several findings share is printed once. */
static bool is_said(const struct diagnosis *diagnosis, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(diagnosis->findings.items[k].remedy, diagnosis->findings.items[i].remedy) &&
			!strcmp(diagnosis->findings.items[k].command, diagnosis->findings.items[i].command))
			return true;
	return false;
}

static void print_remedies(const struct diagnosis *diagnosis)
{
	bool any = false;

	for (size_t i = 0; i < diagnosis->findings.n; i++) {
		const struct finding *finding = &diagnosis->findings.items[i];

		if (!*finding->remedy || is_said(diagnosis, i))
			continue;
		if (!any)
			(void)printf("\nWhat to do:\n");
		any = true;
		print_item(finding->remedy);
		if (*finding->command)
			(void)printf("        %s\n", finding->command);
	}
}

int explain_print_text(
	const struct ctl *ctl, const struct evidence *evidence, const struct diagnosis *diagnosis)
{
	int r;

	(void)printf("%s\n", diagnosis->sentence);
	r = print_covers(ctl, evidence->explanation);
	if (!r)
		r = print_places(ctl, evidence);
	if (!r)
		r = print_listeners(ctl, evidence);
	if (r)
		return r;
	print_items("What is wrong", diagnosis, false);
	print_items("Good to know", diagnosis, true);
	print_remedies(diagnosis);
	return 0;
}

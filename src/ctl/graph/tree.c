/* SPDX-License-Identifier: BSD-3-Clause */
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph.h"

#define DEPTH_MAX 5

enum { BRANCH, LAST_BRANCH, BAR, BLANK };

static struct {
	const char *const *strokes;
	bool coloured;
	bool last[DEPTH_MAX]; /* of each level: the current branch is the last one of its parent */
} tree;

static void begin_tree(void)
{
	static const char *const utf8[] = {"├─", "└─", "│ ", "  "}, *const ascii[] = {"|-", "`-", "| ", "  "};
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	tree.strokes = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? utf8 : ascii;
	tree.coloured =
		isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
}

__attribute__((format(printf, 3, 4))) static void line(unsigned depth, bool last, const char *format, ...)
{
	va_list ap;

	tree.last[depth] = last;
	for (unsigned i = 1; i < depth; i++)
		(void)fputs(tree.strokes[tree.last[i] ? BLANK : BAR], stdout);
	if (depth)
		(void)fputs(tree.strokes[last ? LAST_BRANCH : BRANCH], stdout);
	va_start(ap, format);
	(void)vprintf(format, ap);
	va_end(ap);
	(void)putchar('\n');
}

/* The state of a socket is coloured, because people look for it first. */
static const char *colour(const char *word)
{
	enum seat_state state;

	if (!tree.coloured || !state_from_word(word, &state))
		return "";
	if (state == STATE_SERVING)
		return "\033[32m";
	return state == STATE_MISSING || state == STATE_UNROUTED ? "\033[31m" : "";
}

#define VALUE(place, field) ((place)->fields[field] ? (place)->fields[field] : "")

static void print_owner(const struct listed_place *place)
{
	const char *unit = VALUE(place, PLACE_UNIT), *pid = VALUE(place, PLACE_PID);
	bool held = place_is_held(place);

	if (*unit || *pid)
		line(4, !held, "%s%s%s%s", unit, *unit && *pid ? ", " : "", *pid ? "pid " : "", pid);
	if (held)
		line(4, true, "held by usherd");
}

static void print_seat(const struct seat *seat, bool last)
{
	const char *end = tree.coloured ? "\033[m" : "", *missing = state_word(STATE_MISSING);

	line(2, last, "%s %s", seat->protocol, seat->family);
	if (!seat->n_places)
		line(3, true, "%s%s%s", colour(missing), missing, *colour(missing) ? end : "");
	for (size_t i = 0; i < seat->n_places; i++) {
		const struct listed_place *place = seat->places[i];
		const char *state = VALUE(place, PLACE_STATE), *address = VALUE(place, PLACE_ADDRESS);

		line(3, i + 1 == seat->n_places, "%s%s%s %s%ssk:%s", colour(state), state,
			*colour(state) ? end : "", address, *address ? " " : "", VALUE(place, PLACE_COOKIE));
		print_owner(place);
	}
}

static void print_name(const struct graph_name *name)
{
	size_t shown = name->n_matches < GRAPH_MATCHES_MAX ? name->n_matches : GRAPH_MATCHES_MAX;

	line(0, true, "%s", name->file ? name->file : "no rule");
	for (size_t i = 0; i < shown; i++)
		line(1, false, "%s=%s", name->matches[i]->key, name->matches[i]->value);
	if (shown < name->n_matches)
		line(1, false, "and %zu more matches", name->n_matches - shown);
	line(1, true, "%s", name->name);
	for (size_t i = 0; i < name->n_seats; i++)
		print_seat(&name->seats[i], i + 1 == name->n_seats);
}

static void end_tree(void)
{
}

const struct graph_drawing graph_tree = {.begin = begin_tree, .name = print_name, .end = end_tree};

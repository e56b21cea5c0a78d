/* SPDX-License-Identifier: BSD-3-Clause */

/* DOT, the language of graphviz. A node that appears twice is drawn once; with "strict", so is an edge. */

#include <stdarg.h>

#include "graph.h"

static void begin_dot(void)
{
	(void)puts("strict digraph usher {\n"
		   "\trankdir=LR;\n"
		   "\tnode [shape=box, fontname=\"monospace\"];\n"
		   "\tedge [fontname=\"monospace\"];");
}

/* The inside of a quoted string, in which a label has escapes of its own. */
static void put_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

/* A quoted string of several texts, ended by NULL: in turn, one that is escaped and one that is not. */
__attribute__((sentinel)) static void put_string(const char *text, ...)
{
	bool escaped = true;
	va_list ap;

	(void)putchar('"');
	va_start(ap, text);
	for (; text; text = va_arg(ap, const char *), escaped = !escaped)
		if (escaped)
			put_text(text);
		else
			(void)fputs(text, stdout);
	va_end(ap);
	(void)putchar('"');
}

static void put_file(const char *file)
{
	put_string("file:", "", file ? file : "", NULL);
}

static void put_name(const struct graph_name *name)
{
	put_string("name:", "", name->name, NULL);
}

static void put_seat(const struct seat *seat)
{
	put_string("seat:", "", seat->name, "/", seat->protocol, "/", seat->family, NULL);
}

#define VALUE(place, field) ((place)->fields[field] ? (place)->fields[field] : "")

static void put_socket(const struct listed_place *place)
{
	put_string("socket:", "", VALUE(place, PLACE_COOKIE), NULL);
}

static void put_owner(const struct listed_place *place)
{
	put_string("process:", "", VALUE(place, PLACE_PID), "/", VALUE(place, PLACE_UNIT), NULL);
}

static void draw_rule(const struct graph_name *name)
{
	size_t shown = name->n_matches < GRAPH_MATCHES_MAX ? name->n_matches : GRAPH_MATCHES_MAX;

	(void)putchar('\t');
	put_file(name->file);
	(void)fputs(" [shape=note, label=\"", stdout);
	put_text(name->file);
	(void)fputs("\\l", stdout);
	for (size_t i = 0; i < shown; i++) {
		put_text(name->matches[i]->key);
		(void)putchar('=');
		put_text(name->matches[i]->value);
		(void)fputs("\\l", stdout);
	}
	if (shown < name->n_matches)
		(void)printf("and %zu more matches\\l", name->n_matches - shown);
	(void)fputs("\"];\n\t", stdout);
	put_file(name->file);
	(void)fputs(" -> ", stdout);
	put_name(name);
	(void)puts(";");
}

static void draw_owner(const struct listed_place *place)
{
	const char *unit = VALUE(place, PLACE_UNIT), *pid = VALUE(place, PLACE_PID);

	if (!*unit && !*pid)
		return;
	(void)putchar('\t');
	put_owner(place);
	(void)fputs(" [shape=component, label=", stdout);
	put_string(unit, *unit && *pid ? "\\n" : "", *pid ? "pid " : "", "", pid, NULL);
	(void)fputs("];\n\t", stdout);
	put_socket(place);
	(void)fputs(" -> ", stdout);
	put_owner(place);
	(void)puts(";");
}

static void draw_socket(const struct seat *seat, const struct listed_place *place, size_t number)
{
	const char *state = VALUE(place, PLACE_STATE), *address = VALUE(place, PLACE_ADDRESS);
	bool held = place_is_held(place);

	(void)putchar('\t');
	put_socket(place);
	(void)fputs(" [shape=ellipse, label=", stdout);
	put_string(address, *address ? "\\n" : "", "sk:", "", VALUE(place, PLACE_COOKIE),
		held ? "\\nheld by usherd" : "", NULL);
	(void)fputs("];\n\t", stdout);
	put_seat(seat);
	(void)fputs(" -> ", stdout);
	put_socket(place);
	(void)printf(" [%slabel=\"%zu ", place_is(place, STATE_SERVING) ? "" : "style=dashed, ", number);
	put_text(state);
	(void)puts("\"];");
	draw_owner(place);
}

static void draw_seat(const struct graph_name *name, const struct seat *seat)
{
	(void)putchar('\t');
	put_seat(seat);
	(void)printf(" [%slabel=", seat->n_places ? "" : "style=dashed, ");
	put_string(seat->protocol, " ", seat->family, seat->n_places ? "" : "\\nmissing", NULL);
	(void)fputs("];\n\t", stdout);
	put_name(name);
	(void)fputs(" -> ", stdout);
	put_seat(seat);
	(void)puts(";");
	for (size_t i = 0; i < seat->n_places; i++)
		draw_socket(seat, seat->places[i], i + 1);
}

static void draw_name(const struct graph_name *name)
{
	(void)putchar('\t');
	put_name(name);
	(void)fputs(" [style=bold, label=", stdout);
	put_string(name->name, name->file ? "" : "\\nno rule", NULL);
	(void)puts("];");
	if (name->file)
		draw_rule(name);
	for (size_t i = 0; i < name->n_seats; i++)
		draw_seat(name, &name->seats[i]);
}

static void end_dot(void)
{
	(void)puts("}");
}

const struct graph_drawing graph_dot = {.begin = begin_dot, .name = draw_name, .end = end_dot};

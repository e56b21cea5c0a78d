/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * usherctl list --graph: what leads where, from the rule files to the processes
 *
 * Names are drawn one after the other, as a tree for people (tree.c) or as DOT (dot.c). In DOT, a socket that is in
 * several seats is one node.
 */

#include <stdio.h>

#include "../ctl.h"
#include "../view/seats.h"
#include "../view/settings.h"

/* A rule may have a million matches. */
#define GRAPH_MATCHES_MAX 16U

struct graph_name {
	const char *name;
	const char *file; /* NULL: no rule has this name any more */
	struct setting *const *matches;
	size_t n_matches;
	const struct seat *seats;
	size_t n_seats; /* at least one */
};

/* graph_list() - usherctl list --graph; Return: an exit code */
int graph_list(const struct ctl *ctl);

struct graph_drawing {
	void (*begin)(void);
	void (*name)(const struct graph_name *name);
	void (*end)(void);
};

extern const struct graph_drawing graph_tree, graph_dot;

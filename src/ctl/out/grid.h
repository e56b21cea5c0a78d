/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A table for people, through libsmartcols, or the same columns as JSON
 *
 * Data is never cut or wrapped, however narrow the terminal is. A cell without a value is "-" or null, so each line has
 * the same number of words. New columns are appended; columns are never moved or renamed, because people cut(1) them.
 */

#include <libsmartcols.h>
#include <stddef.h>

#include "../../util/macro.h"
#include "../ctl.h"
#include "json.h"

struct column {
	const char *name; /* in upper case; its lower case is the key in JSON */
	enum json_type type;
	bool json_only;
};

struct grid {
	const struct column *columns;
	size_t n_columns;
	bool json;
	struct libscols_table *scols;
	struct libscols_line *line;
};

#define GRID_NULL ((struct grid){})

/* grid_init() - @columns must live as long as the table; Return: 0 or -ENOMEM */
int grid_init(struct grid *grid, const struct ctl *ctl, const struct column *columns, size_t n_columns);
void grid_deinit(struct grid *grid);

/* grid_row() - start a row; Return: 0 or -ENOMEM */
int grid_row(struct grid *grid);

/* grid_set() - a cell of the row; NULL leaves it without a value; Return: 0 or -ENOMEM */
int grid_set(struct grid *grid, size_t column, const char *value);

/* grid_clear() - take the value of a cell away; Return: 0 or -ENOMEM */
int grid_clear(struct grid *grid, size_t column);

/* grid_print() - to standard output; @key is what the rows are called in JSON; Return: 0 or -ENOMEM */
int grid_print(const struct grid *grid, const char *key);

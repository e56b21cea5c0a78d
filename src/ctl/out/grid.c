/* SPDX-License-Identifier: BSD-3-Clause */
#include "grid.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define KEY_MAX 64

static void iterp(struct libscols_iter **iter)
{
	scols_free_iter(*iter);
}

int grid_init(struct grid *grid, const struct ctl *ctl, const struct column *columns, size_t n_columns)
{
	*grid = (struct grid){.columns = columns, .n_columns = n_columns, .json = ctl->json};
	grid->scols = scols_new_table();
	if (!grid->scols)
		return -ENOMEM;
	/* without a terminal, libsmartcols does not fit columns into a width */
	if (scols_table_set_termforce(grid->scols, SCOLS_TERMFORCE_NEVER) < 0 ||
		scols_table_enable_noheadings(grid->scols, ctl->no_legend) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_columns; i++) {
		int flags = columns[i].type == JSON_NUMBER ? SCOLS_FL_RIGHT : 0;

		if (columns[i].json_only)
			flags |= SCOLS_FL_HIDDEN;
		if (!scols_table_new_column(grid->scols, columns[i].name, 0, flags))
			return -ENOMEM;
	}
	return 0;
}

void grid_deinit(struct grid *grid)
{
	scols_unref_table(grid->scols);
	*grid = GRID_NULL;
}

int grid_row(struct grid *grid)
{
	grid->line = scols_table_new_line(grid->scols, NULL);
	if (!grid->line)
		return -ENOMEM;
	for (size_t i = 0; !grid->json && i < grid->n_columns; i++)
		if (scols_line_set_data(grid->line, i, "-") < 0)
			return -ENOMEM;
	return 0;
}

int grid_set(struct grid *grid, size_t column, const char *value)
{
	if (!value || (!*value && !grid->json))
		return 0;
	return scols_line_set_data(grid->line, column, value) < 0 ? -ENOMEM : 0;
}

int grid_clear(struct grid *grid, size_t column)
{
	return scols_line_set_data(grid->line, column, NULL) < 0 ? -ENOMEM : 0;
}

static const char *column_key(const struct column *column, char key[static KEY_MAX])
{
	size_t i;

	for (i = 0; column->name[i] && i < KEY_MAX - 1; i++)
		key[i] = (char)tolower((unsigned char)column->name[i]);
	key[i] = '\0';
	return key;
}

static int print_rows_json(const struct grid *grid, const char *rows)
{
	_cleanup_(iterp) struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
	struct json json = JSON(stdout);
	struct libscols_line *line;
	char key[KEY_MAX];

	if (!iter)
		return -ENOMEM;
	json_open(&json, NULL, '{');
	json_open(&json, rows, '[');
	while (scols_table_next_line(grid->scols, iter, &line) == 0) {
		json_open(&json, NULL, '{');
		for (size_t i = 0; i < grid->n_columns; i++)
			json_text(&json, column_key(&grid->columns[i], key),
				scols_cell_get_data(scols_line_get_cell(line, i)), grid->columns[i].type);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
	return 0;
}

int grid_print(const struct grid *grid, const char *key)
{
	if (grid->json)
		return print_rows_json(grid, key);
	return scols_print_table(grid->scols) < 0 ? -ENOMEM : 0;
}

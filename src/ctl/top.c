/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl top: the rates of each name, live */

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "../util/clock.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/grid.h"
#include "out/spark.h"
#include "view/rates.h"

#define INTERVAL_MS 1000
#define SCREEN_CLEAR "\033[H\033[J"
#define LINES_AROUND 3 /* heading, legend, cursor */

enum { NAME, SOCKETS, LOOKUPS_S, MISSING_S, REFUSED_S, LOOKUPS, MISSING, REFUSED_ALL, LAST_MINUTE };

static const struct column columns[] = {
	[NAME] = {"NAME"},
	[SOCKETS] = {"SOCKETS", JSON_NUMBER},
	[LOOKUPS_S] = {"LOOKUPS/S", JSON_NUMBER},
	[MISSING_S] = {"MISSING/S", JSON_NUMBER},
	[REFUSED_S] = {"REFUSED/S", JSON_NUMBER},
	[LOOKUPS] = {"LOOKUPS", JSON_NUMBER},
	[MISSING] = {"MISSING", JSON_NUMBER},
	[REFUSED_ALL] = {"REFUSED", JSON_NUMBER},
	[LAST_MINUTE] = {"LAST_MINUTE"},
};

/* The orders of names; the letter is the key that selects one on the terminal. */
static const struct order {
	const char *word;
	char key;
	enum { BY_NAME = -1 } by; /* else an index of per_second[] */
} orders[] = {{"lookups", 'l', 0}, {"missing", 'm', 1}, {"refused", 'r', 2}, {"name", 'n', BY_NAME}};

struct top {
	const struct ctl *ctl;
	struct client client;
	struct rates rates;
	const struct order *order;
	bool is_terminal, is_utf8;
	struct termios before;
};

/* ---- looking */

static uint64_t number_of(const struct client *client, enum message_key key)
{
	const char *value = message_get(&client->message, key);
	unsigned long number;

	return value && text_to_uint(value, ~0UL, &number) == 0 ? number : 0;
}

static int add_seat(struct client *client, void *userdata)
{
	static const enum message_key refused_keys[] = {KEY_REFUSED_FAMILY, KEY_REFUSED_PROTOCOL,
		KEY_REFUSED_STATE, KEY_REFUSED_EXISTS, KEY_REFUSED_DEVICE, KEY_REFUSED_OTHER};
	struct rates *rates = userdata;
	const char *name = message_get(&client->message, KEY_NAME);
	uint64_t refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(refused_keys); i++)
		refused += number_of(client, refused_keys[i]);
	return !name ? 0
		     : rates_add(rates, name, message_get(&client->message, KEY_COOKIE) != NULL,
			       number_of(client, KEY_LOOKUPS), number_of(client, KEY_MISSING), refused);
}

static double now(void)
{
	return (double)clock_monotonic_usec() / 1e6;
}

static int look_once_more(struct top *top, struct refusal *refusal)
{
	const struct ctl *ctl = top->ctl;
	struct writer request;
	size_t i = 0;
	int r;

	rates_begin(&top->rates);
	do {
		client_begin(&request, REQUEST_LIST);
		if (ctl->n_names)
			writer_put(&request, KEY_NAME, "%s", ctl->names[i]);
		r = ask(&top->client, &request, NULL, 0, add_seat, &top->rates, refusal);
	} while (!r && ++i < ctl->n_names);
	rates_end(&top->rates, now());
	return r;
}

/* ---- showing */

static int compare_lines(const void *a, const void *b, void *userdata)
{
	const struct rate *x = a, *y = b;
	const struct order *order = userdata;

	if (order->by != BY_NAME && x->per_second[order->by] != y->per_second[order->by])
		return x->per_second[order->by] < y->per_second[order->by] ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int set_cell(struct grid *grid, size_t column, double value, int decimals)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.*f", decimals, value);
	return grid_set(grid, column, text);
}

static int show_rate(struct grid *grid, const struct rate *rate, bool utf8)
{
	char line[SPARK_TEXT_MAX(RATES_HISTORY)];
	int r;

	r = grid_row(grid);
	if (!r)
		r = grid_set(grid, NAME, rate->name);
	if (!r)
		r = set_cell(grid, SOCKETS, (double)rate->sockets, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rate->per_second) && !r; i++)
		r = set_cell(grid, LOOKUPS_S + i, rate->per_second[i], grid->json ? 0 : 1);
	if (!r)
		r = set_cell(grid, LOOKUPS, (double)rate->lookups, 0);
	if (!r)
		r = set_cell(grid, MISSING, (double)rate->missing, 0);
	if (!r)
		r = set_cell(grid, REFUSED_ALL, (double)rate->refused, 0);
	spark(rate->history, RATES_HISTORY, utf8, line);
	return r ? r : grid_set(grid, LAST_MINUTE, line + strspn(line, " "));
}

static size_t lines_of_terminal(const struct top *top)
{
	struct winsize size;

	if (!top->is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row <= LINES_AROUND)
		return SIZE_MAX;
	return size.ws_row - LINES_AROUND;
}

static int show(struct top *top)
{
	_cleanup_(grid_deinit) struct grid grid = GRID_NULL;
	size_t lines = lines_of_terminal(top);
	int r;

	/* rates_begin() takes names in any order */
	qsort_r(top->rates.items, top->rates.n, sizeof(*top->rates.items), compare_lines, (void *)top->order);
	r = grid_init(&grid, top->ctl, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < top->rates.n && i < lines && !r; i++)
		r = show_rate(&grid, &top->rates.items[i], top->is_utf8);
	if (r)
		return r;
	if (top->is_terminal)
		(void)fputs(SCREEN_CLEAR, stdout);
	r = grid_print(&grid, "rates");
	if (top->is_terminal)
		(void)printf("names: %zu, by %s; l m r n: sort by lookups, missing, refused, name; q: end\n",
			top->rates.n, top->order->word);
	return r;
}

/* ---- waiting */

/* The terminal passes on each key at once, and does not echo it. */
static void take_terminal(struct top *top)
{
	struct termios raw;

	top->is_terminal = !top->ctl->json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
			   tcgetattr(STDIN_FILENO, &top->before) == 0;
	if (!top->is_terminal)
		return;
	raw = top->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void give_terminal(const struct top *top)
{
	if (top->is_terminal)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &top->before);
}

/* Return: whether to continue */
static bool wait_interval(struct top *top)
{
	struct pollfd poll_fd = {.fd = top->is_terminal ? STDIN_FILENO : -1, .events = POLLIN};
	int ms = top->ctl->interval_ms ? top->ctl->interval_ms : INTERVAL_MS;
	double end = now() + ms / 1e3, left;
	char key;

	while ((left = end - now()) > 0) {
		if (poll(&poll_fd, 1, (int)(left * 1e3) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')
			return false;
		for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
			if (orders[i].key == key) {
				top->order = &orders[i];
				(void)show(top);
				(void)fflush(stdout);
			}
	}
	return true;
}

static const struct order *find_order(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		if (!word || strcmp(orders[i].word, word) == 0)
			return &orders[i];
	return NULL;
}

static int run_top(struct top *top)
{
	struct refusal refusal;
	int r;

	for (unsigned long n = 1;; n++) {
		r = look_once_more(top, &refusal);
		if (r)
			return complain_refusal(r, &refusal, "cannot read the counters");
		if (show(top) < 0)
			return complain_memory();
		if (fflush(stdout) || n == top->ctl->count || !wait_interval(top))
			return EXIT_SUCCESS;
	}
}

int verb_top(const struct ctl *ctl)
{
	struct top top = {
		.ctl = ctl, .client = CLIENT_NULL, .rates = RATES_NULL, .order = find_order(ctl->sort)};
	struct refusal refusal;
	int r;

	if (!top.order) {
		complain("bad option --sort '%s': not lookups, missing, refused or name (EINVAL)", ctl->sort);
		return EXIT_USAGE;
	}
	top.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	r = ask_open(&top.client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot read the counters");
	take_terminal(&top);
	r = run_top(&top);
	give_terminal(&top);
	client_close(&top.client);
	rates_deinit(&top.rates);
	return r;
}

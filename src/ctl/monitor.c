/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl monitor: the events of the broker, live */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../util/macro.h"
#include "../util/text.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/fields.h"

/* Between two events there is no deadline. */
static int wait_readable(const struct client *client)
{
	struct pollfd poll_fd = {.fd = client->socket, .events = POLLIN};

	while (poll(&poll_fd, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static bool is_asked_for(const struct ctl *ctl, const struct client *client)
{
	const char *name = message_get(&client->message, KEY_NAME);

	for (size_t i = 0; i < ctl->n_names; i++)
		if (name && strcmp(ctl->names[i], name) == 0)
			return true;
	return ctl->n_names == 0;
}

/* "13:05:12.123", local time */
static const char *format_moment(const char *microseconds, char text[static 32])
{
	unsigned long number;
	struct tm tm;
	time_t seconds;

	if (text_to_uint(microseconds, ~0UL, &number) < 0)
		return "-";
	seconds = (time_t)(number / 1000000);
	if (!localtime_r(&seconds, &tm))
		return "-";
	(void)snprintf(text, 32, "%02d:%02d:%02d.%03lu", tm.tm_hour % 24, tm.tm_min % 60, tm.tm_sec % 62,
		number / 1000 % 1000);
	return text;
}

static void show_json(const struct client *client)
{
	static const enum message_key numbers[] = {KEY_TIME, KEY_PID, KEY_UID, KEY_ERROR, KEY_LOST, KEY_NONE};
	static const enum message_key booleans[] = {KEY_NONE};
	struct json json = JSON(stdout);

	json.compact = true;
	json_open(&json, NULL, '{');
	fields_print_json(&client->message, &json, numbers, booleans);
	json_close(&json, '}');
}

static void show_text(const struct client *client)
{
	const char *lost = message_get(&client->message, KEY_LOST);
	char time[32];

	if (lost)
		(void)printf("%-12s  %-13s  %s events before the next one were not read in time\n", "-",
			"lost", lost);
	(void)printf("%-12s  %-13s  %s\n", format_moment(ask_value(client, KEY_TIME, "-"), time),
		ask_value(client, KEY_EVENT, "-"), ask_value(client, KEY_TEXT, ""));
}

/* Return: an exit code */
static int show_all(const struct ctl *ctl, struct client *client)
{
	unsigned long n = 0;
	struct refusal refusal;
	bool subscribed = false;
	int r;

	for (;;) {
		r = wait_readable(client);
		if (r < 0)
			return complain_refusal(r, &refusal, "cannot wait for events");
		client_renew(client);
		r = client_next(client, &refusal);
		if (r != CLIENT_ROW)
			break;
		if (!subscribed) {
			subscribed = true;
			if (!ctl->json && !ctl->no_legend)
				(void)printf("%-12s  %-13s  %s\n", "TIME", "EVENT", "WHAT HAPPENED");
		} else if (is_asked_for(ctl, client)) {
			if (ctl->json)
				show_json(client);
			else
				show_text(client);
			n++;
		}
		/* flush each event, so that the reader of a pipe sees it at once; if the reader is gone, end */
		if (fflush(stdout) || (ctl->count && n == ctl->count))
			return EXIT_SUCCESS;
	}
	if (r == 0)
		r = refuse(&refusal, EPROTO, "the broker ended the stream of events (EPROTO)");
	return complain_refusal(r, &refusal, "cannot go on watching events");
}

int verb_monitor(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	client_begin(&request, REQUEST_MONITOR);
	if (!r)
		r = client_request(&client, &request, NULL, 0, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot watch events");
	return show_all(ctl, &client);
}

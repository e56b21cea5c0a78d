/* SPDX-License-Identifier: BSD-3-Clause */
#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "complain.h"

int ask_open(struct client *client, const struct ctl *ctl, int timeout_ms, struct refusal *refusal)
{
	return client_open(client, ctl->socket, ctl->timeout_ms ? ctl->timeout_ms : timeout_ms, refusal);
}

int ask(struct client *client, struct writer *request, const int *fds, size_t n_fds,
	int (*row)(struct client *client, void *userdata), void *userdata, struct refusal *refusal)
{
	int r;

	client_renew(client);
	r = client_request(client, request, fds, n_fds, refusal);
	if (r)
		return r;
	while ((r = client_next(client, refusal)) == CLIENT_ROW) {
		/* a million rows take long: the timeout is for a silent broker, so each row renews it */
		client_renew(client);
		if (!row)
			continue;
		r = row(client, userdata);
		if (r)
			return r;
	}
	return r;
}

static bool is_repeated(const struct ctl *ctl, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(ctl->names[i], ctl->names[j]) == 0)
			return true;
	return false;
}

int ask_each(const struct ctl *ctl, enum request_verb verb, const char *what,
	int (*row)(struct client *client, void *userdata), void *userdata)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer writer;
	size_t i = 0;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "%s", what);
	do {
		if (i < ctl->n_names && is_repeated(ctl, i))
			continue;
		client_begin(&writer, verb);
		if (i < ctl->n_names)
			writer_put(&writer, KEY_NAME, "%s", ctl->names[i]);
		r = ask(&client, &writer, NULL, 0, row, userdata, &refusal);
		if (r && i < ctl->n_names)
			return complain_refusal(r, &refusal, "%s of '%s'", what, ctl->names[i]);
		if (r)
			return complain_refusal(r, &refusal, "%s", what);
	} while (++i < ctl->n_names);
	return EXIT_SUCCESS;
}

const char *ask_value(const struct client *client, enum message_key key, const char *otherwise)
{
	const char *value = message_get(&client->message, key);

	return value ? value : otherwise;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl claim: get held sockets back, and execute a command that finds them in $LISTEN_FDS */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/array.h"
#include "../util/macro.h"
#include "../wire/names.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "listen.h"
#include "run.h"

/* What has been claimed so far */
struct claimed {
	int *fds; /* owned */
	size_t n;
	char *names; /* n names separated by colons */
};

static void claimed_deinit(struct claimed *claimed)
{
	for (size_t i = 0; i < claimed->n; i++)
		closep(&claimed->fds[i]);
	free(claimed->fds);
	free(claimed->names);
}

/* One row of the answer: descriptors, and NAMES= with a name for each */
static int take_batch(struct client *client, void *userdata)
{
	const char *names = ask_value(client, KEY_NAMES, "");
	struct claimed *claimed = userdata;
	char *all;

	if ((*names ? names_count(names) : 0) != client->reply.n_fds)
		return -EPROTO;
	if (client->reply.n_fds == 0)
		return 0;
	all = malloc((claimed->names ? strlen(claimed->names) : 0) + strlen(names) + 2);
	if (!all)
		return -ENOMEM;
	(void)stpcpy(
		stpcpy(stpcpy(all, claimed->names ? claimed->names : ""), claimed->names ? ":" : ""), names);
	free(claimed->names);
	claimed->names = all;
	for (size_t i = 0; i < client->reply.n_fds; i++) {
		if (ARRAY_RESERVE(claimed->fds, claimed->n) < 0)
			return -ENOMEM;
		claimed->fds[claimed->n++] = TAKE_FD(client->reply.fds[i]);
	}
	return 0;
}

/* "web:tls", for the request and for messages about it; no longer than all arguments together */
static char *join_names(const struct ctl *ctl)
{
	size_t size = 1;
	char *text, *end;

	for (size_t i = 0; i < ctl->n_names; i++)
		size += strlen(ctl->names[i]) + 1;
	text = end = calloc(1, size);
	for (size_t i = 0; text && i < ctl->n_names; i++)
		end = stpcpy(stpcpy(end, i ? ":" : ""), ctl->names[i]);
	return text;
}

int verb_claim(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_(claimed_deinit) struct claimed claimed = {};
	_cleanup_free_ char *names = join_names(ctl);
	struct refusal refusal;
	struct writer request;
	int r;

	if (!names)
		return complain_memory();
	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT && ctl->if_broker)
		return run_command(ctl);
	if (r)
		return complain_refusal(r, &refusal, "cannot claim '%s'", names);
	client_begin(&request, REQUEST_CLAIM);
	writer_put(&request, KEY_NAMES, "%s", names);
	r = ask(&client, &request, NULL, 0, take_batch, &claimed, &refusal);
	if (r == REFUSED && refusal.error == ENOENT && ctl->if_held)
		return run_command(ctl);
	if (r)
		return complain_refusal(r, &refusal, "cannot claim '%s'", names);
	client_close(&client);
	r = listen_append(claimed.fds, claimed.n, claimed.names ? claimed.names : "", &refusal);
	if (r) {
		(void)complain_refusal(r, &refusal, "cannot pass '%s' on", names);
		return r == REFUSED && refusal.error == EINVAL ? EXIT_BAD_CONFIG : EXIT_FAILURE;
	}
	return run_command(ctl);
}

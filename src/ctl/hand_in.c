/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl hand-in: hand sockets in under their names, then execute a command to which the sockets are passed on */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/name.h"
#include "../wire/protocol.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "listen.h"
#include "out/fields.h"
#include "run.h"

/* What to hand in */
struct handover {
	const char *names; /* one name for all, or a list: one for each, separated by colons */
	bool is_list;
	const int *fds;
	size_t n;
	int passed[PROTOCOL_HAND_IN_MAX]; /* what `fds` is when they come from $LISTEN_FDS */
};

static int check_count(size_t n)
{
	if (n <= PROTOCOL_HAND_IN_MAX)
		return EXIT_SUCCESS;
	complain(
		"cannot hand in %zu sockets: one request takes at most %u (E2BIG); use several requests, with --fd",
		n, PROTOCOL_HAND_IN_MAX);
	return EXIT_FAILURE;
}

static int check_names(const char *names)
{
	for (;;) {
		size_t length = strcspn(names, ":");
		char name[NAME_LENGTH_MAX + 2];

		/* a name that does not fit is too long to be valid, even when cut */
		(void)snprintf(name, sizeof(name), "%.*s", (int)length, names);
		if (!name_is_valid(name)) {
			complain("cannot hand in '%.*s', a name in $LISTEN_FDNAMES: " NAME_RULE
				 " (EINVAL); set FileDescriptorName= in the socket unit, or give a NAME",
				(int)length, names);
			return EXIT_BAD_CONFIG;
		}
		if (!names[length])
			return EXIT_SUCCESS;
		names += length + 1;
	}
}

/* The descriptors of --fd. options.c has checked that there is a name. */
static int handover_given(const struct ctl *ctl, struct handover *handover)
{
	*handover = (struct handover){.names = ctl->names[0], .fds = ctl->fds, .n = ctl->n_fds};
	for (size_t i = 0; i < handover->n; i++)
		if (fcntl(handover->fds[i], F_GETFD) < 0) {
			complain(
				"cannot hand in '%s': descriptor %d is not open (EBADF); see what starts usherctl",
				handover->names, handover->fds[i]);
			return EXIT_FAILURE;
		}
	return check_count(handover->n);
}

static int handover_passed(const struct ctl *ctl, struct handover *handover)
{
	struct listening listening;
	struct refusal refusal;
	int r;

	r = listen_read(&listening, &refusal);
	if (r) {
		if (ctl->n_names > 0)
			complain("cannot hand in '%s': %s", ctl->names[0], refusal.text);
		else
			complain("cannot hand in: %s", refusal.text);
		return EXIT_BAD_CONFIG;
	}
	r = check_count(listening.n);
	if (r)
		return r;
	*handover = (struct handover){.names = ctl->names[0], .n = listening.n};
	handover->fds = handover->passed;
	for (size_t i = 0; i < handover->n; i++)
		handover->passed[i] = LISTEN_FIRST + (int)i;
	if (handover->names)
		return EXIT_SUCCESS;
	if (!listening.names) {
		complain(
			"cannot hand in: the sockets have no names, $LISTEN_FDNAMES is not set (EINVAL); give a NAME");
		return EXIT_BAD_CONFIG;
	}
	handover->names = listening.names;
	handover->is_list = true;
	return check_names(handover->names);
}

static void print_handed_in(
	const struct ctl *ctl, const struct handover *handover, const struct client *client)
{
	static const enum message_key numbers[] = {KEY_ADDED, KEY_KEPT, KEY_NONE};
	static const enum message_key booleans[] = {KEY_NONE};
	struct json json = JSON(stdout);

	if (!ctl->json) {
		(void)printf("handed in '%s': %s added, %s kept\n", handover->names,
			ask_value(client, KEY_ADDED, "?"), ask_value(client, KEY_KEPT, "?"));
		return;
	}
	json_open(&json, NULL, '{');
	fields_print_json(&client->message, &json, numbers, booleans);
	json_close(&json, '}');
}

static int hand_in_passed(const struct ctl *ctl, const struct handover *handover)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT && ctl->if_broker)
		return EXIT_SUCCESS;
	if (r)
		return complain_refusal(r, &refusal, "cannot hand in '%s'", handover->names);
	client_begin(&request, ctl->hold ? REQUEST_HOLD : REQUEST_HAND_IN);
	writer_put(&request, handover->is_list ? KEY_NAMES : KEY_NAME, "%s", handover->names);
	writer_put(&request, KEY_VIA, "%s", via_word(VIA_CTL));
	r = ask(&client, &request, handover->fds, handover->n, NULL, NULL, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot hand in '%s'", handover->names);
	/* standard output is the command's, if there is one */
	if (!ctl->command)
		print_handed_in(ctl, handover, &client);
	return EXIT_SUCCESS;
}

int verb_hand_in(const struct ctl *ctl)
{
	struct handover handover;
	int r;

	r = ctl->n_fds > 0 ? handover_given(ctl, &handover) : handover_passed(ctl, &handover);
	if (!r)
		r = hand_in_passed(ctl, &handover);
	if (!r && ctl->command)
		r = run_command(ctl);
	return r;
}

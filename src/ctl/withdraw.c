/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl withdraw: withdraw all sockets of a name, those of a protocol or family, or those given with --fd */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "../util/macro.h"
#include "../util/transport.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/fields.h"

static void print_withdrawn(const struct ctl *ctl, const struct client *client)
{
	static const enum message_key numbers[] = {KEY_WITHDRAWN, KEY_NONE};
	static const enum message_key booleans[] = {KEY_NONE};
	struct json json = JSON(stdout);

	if (!ctl->json) {
		(void)printf(
			"withdrew '%s': sockets: %s\n", ctl->names[0], ask_value(client, KEY_WITHDRAWN, "?"));
		return;
	}
	json_open(&json, NULL, '{');
	fields_print_json(&client->message, &json, numbers, booleans);
	json_close(&json, '}');
}

static int check_words(const struct ctl *ctl)
{
	uint8_t protocol;
	int family;

	if (ctl->protocol && !protocol_from_word(ctl->protocol, &protocol))
		complain("bad protocol '%s': neither tcp nor udp (EINVAL)", ctl->protocol);
	else if (ctl->family && !family_from_word(ctl->family, &family))
		complain("bad family '%s': neither ipv4 nor ipv6 (EINVAL)", ctl->family);
	else
		return EXIT_SUCCESS;
	return EXIT_USAGE;
}

int verb_withdraw(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;
	int r = check_words(ctl);

	if (r)
		return r;
	for (size_t i = 0; i < ctl->n_fds; i++)
		if (fcntl(ctl->fds[i], F_GETFD) < 0) {
			complain(
				"cannot withdraw '%s': descriptor %d is not open (EBADF); see what starts usherctl",
				ctl->names[0], ctl->fds[i]);
			return EXIT_FAILURE;
		}
	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT && ctl->if_broker)
		return EXIT_SUCCESS;
	if (r)
		return complain_refusal(r, &refusal, "cannot withdraw '%s'", ctl->names[0]);
	client_begin(&request, REQUEST_WITHDRAW);
	writer_put(&request, KEY_NAME, "%s", ctl->names[0]);
	if (ctl->protocol)
		writer_put(&request, KEY_PROTOCOL, "%s", ctl->protocol);
	if (ctl->family)
		writer_put(&request, KEY_FAMILY, "%s", ctl->family);
	r = ask(&client, &request, ctl->fds, ctl->n_fds, NULL, NULL, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot withdraw '%s'", ctl->names[0]);
	print_withdrawn(ctl, &client);
	return EXIT_SUCCESS;
}

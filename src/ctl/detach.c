/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl detach: remove everything that usher has in the kernel, through the broker or, if none runs, directly */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../pins/folder.h"
#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/json.h"

static int finish_detach(const struct ctl *ctl, bool done, const char *text)
{
	struct json json = JSON(stdout);

	if (!ctl->json) {
		(void)printf("%s\n", text);
		return EXIT_SUCCESS;
	}
	json_open(&json, NULL, '{');
	json_bool(&json, "detached", done);
	json_close(&json, '}');
	return EXIT_SUCCESS;
}

/* Remove the pins when no broker runs. Return: as pins_folder_remove(), or PINS_FOLDER_ABSENT. */
static int remove_pins(const char *path, struct refusal *refusal)
{
	_cleanup_(pins_folder_close) struct pins_folder folder = PINS_FOLDER_NULL;
	int r = pins_folder_open(path, &folder, refusal);

	if (r == PINS_FOLDER_HELD)
		return refuse(refusal, EBUSY,
			"a broker uses %s (EBUSY), but does not listen on the socket that was tried; stop it, or give its socket with --socket",
			path);
	return r ? r : pins_folder_remove(&folder, refusal);
}

int verb_detach(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;
	char text[sizeof(refusal.text) + 64];
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == 0) {
		client_begin(&request, REQUEST_DETACH);
		r = ask(&client, &request, NULL, 0, NULL, NULL, &refusal);
		if (r)
			return complain_refusal(r, &refusal, "cannot detach");
		/* or 'systemctl start usherd.service', right after, would find it running */
		(void)client_wait_end(&client, &refusal);
		return finish_detach(
			ctl, true, "detached: nothing is dispatched any more, and the broker ends");
	}
	if (r != CLIENT_ABSENT)
		return complain_refusal(r, &refusal, "cannot detach");
	r = remove_pins(ctl->instance.pins, &refusal);
	if (r < 0 || r == REFUSED)
		return complain_refusal(r, &refusal, "cannot detach");
	if (r == PINS_FOLDER_ABSENT)
		(void)snprintf(text, sizeof(text),
			"nothing to detach: no broker is running, and there is no %s", ctl->instance.pins);
	else if (r == PINS_FOLDER_STAYS)
		(void)snprintf(text, sizeof(text),
			"detached: no broker is running, and nothing is pinned any more; %s", refusal.text);
	else
		(void)snprintf(text, sizeof(text), "detached: no broker is running, %s has been removed",
			ctl->instance.pins);
	return finish_detach(ctl, r != PINS_FOLDER_ABSENT, text);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl detach: remove everything of usher's from the kernel, through the broker or, when none runs, in its place. */

#include <stdio.h>
#include <stdlib.h>

#include "../util/macro.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/json.h"
#include "host/pins.h"

static int finish(const struct ctl *ctl, bool done, const char *text)
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

int verb_detach(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	struct writer request;
	char text[512];
	int r;

	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == 0) {
		client_begin(&request, "detach");
		r = ask(&client, &request, NULL, 0, NULL, NULL, &refusal);
		if (r)
			return complain_refusal(r, &refusal, "cannot detach");
		return finish(ctl, true, "detached: nothing is dispatched any more, and the broker ends");
	}
	if (r != CLIENT_ABSENT)
		return complain_refusal(r, &refusal, "cannot detach");
	r = pins_remove(ctl->instance.pins, &refusal);
	if (r == REFUSED)
		return complain_refusal(r, &refusal, "cannot detach");
	if (r == PINS_NOT_THERE) {
		(void)snprintf(text, sizeof(text), "nothing to detach: no broker runs, and there is no %s",
			ctl->instance.pins);
		return finish(ctl, false, text);
	}
	(void)snprintf(
		text, sizeof(text), "detached: no broker runs, %s has been removed", ctl->instance.pins);
	return finish(ctl, true, text);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "request.h"

static const enum message_key keys[] = {
	KEY_NAME, KEY_PROTOCOL, KEY_LOCAL, KEY_REMOTE, KEY_DEVICE, KEY_KEY, KEY_VALUE};

struct reading {
	struct usherd *usherd;
	enum request_verb verb;
	struct message message; /* of those keys; its values are its own */
	struct identity asker;	/* its groups are the session's */
	char *unit;		/* owns asker.unit */
	char *user_unit;	/* owns asker.user_unit */
	bool begun;
	struct answer_source rows; /* once it has begun, if its answer has rows */
};

static void reading_release(void *state)
{
	struct reading *reading = state;

	if (reading->rows.release)
		reading->rows.release(reading->rows.state);
	for (size_t i = 0; i < reading->message.n_fields; i++)
		free((char *)reading->message.fields[i].value);
	free(reading->unit);
	free(reading->user_unit);
	free(reading);
}

static void reading_freep(struct reading **reading)
{
	if (*reading)
		reading_release(*reading);
}

static int begin(struct reading *reading, struct writer *packet, struct refusal *refusal)
{
	const struct message *message = &reading->message;
	struct broker *broker = &reading->usherd->broker;
	const char *name = message_get(message, KEY_NAME);

	switch (reading->verb) {
	case REQUEST_STATUS:
		return request_status(reading->usherd, &reading->asker, packet);
	case REQUEST_LIST:
		return request_list(broker, name, &reading->rows, refusal);
	case REQUEST_RULES:
		return request_rules(broker, message, &reading->rows, refusal);
	case REQUEST_EXPLAIN:
		return request_explain(reading->usherd, message, &reading->asker, &reading->rows, refusal);
	default:
		return -EINVAL;
	}
}

static bool reading_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct reading *reading = state;
	struct refusal refusal = {};
	int r = 0;

	if (!reading->begun)
		r = begin(reading, packet, &refusal);
	reading->begun = true;
	if (r) {
		*packet = WRITER_NULL;
		if (r < 0)
			(void)refuse(&refusal, -r,
				"the broker could not do it (%s); its log may have the reason",
				errno_name(-r));
		writer_put(packet, KEY_ERRNO, "%d", refusal.error);
		writer_put(packet, KEY_REASON, "%s", refusal.text);
		return false;
	}
	return reading->rows.next && reading->rows.next(reading->rows.state, packet, fds, n_fds);
}

int reading_postpone(struct usherd *usherd, enum request_verb verb, const struct message *message,
	struct identity asker, struct answer_source *answer)
{
	_cleanup_(reading_freep) struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading)
		return -ENOMEM;
	reading->usherd = usherd;
	reading->verb = verb;
	reading->asker = asker;
	reading->asker.unit = reading->unit = strdup(asker.unit);
	reading->asker.user_unit = reading->user_unit = asker.user_unit ? strdup(asker.user_unit) : NULL;
	if (!reading->unit || !reading->user_unit != !asker.user_unit)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = message_get(message, keys[i]);
		struct message *own = &reading->message;

		if (!value)
			continue;
		own->fields[own->n_fields].key = keys[i];
		own->fields[own->n_fields].word = key_word(keys[i]);
		own->fields[own->n_fields].value = strdup(value);
		if (!own->fields[own->n_fields++].value)
			return -ENOMEM;
	}
	*answer = (struct answer_source){.next = reading_next,
		.release = reading_release,
		.is_long = true,
		.state = TAKE_PTR(reading)};
	return 0;
}

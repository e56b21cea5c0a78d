/* SPDX-License-Identifier: BSD-3-Clause */
#include "refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../broker/broker.h"
#include "../util/clock.h"
#include "../wire/names.h"

/* The entry of that name, or the one to be overwritten: a free one, or the oldest. */
static struct refused_hand_in *choose_entry(struct refusals *refusals, const char *name)
{
	struct refused_hand_in *oldest = &refusals->items[0];

	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		struct refused_hand_in *item = &refusals->items[i];

		if (strcmp(item->name, name) == 0)
			return item;
		if (item->time < oldest->time)
			oldest = item;
	}
	return oldest;
}

void refusals_note(struct refusals *refusals, const char *names, const struct identity *client,
	const struct refusal *refusal)
{
	char name[NAME_LENGTH_MAX + 2];

	for (size_t i = 0; names && i < REFUSALS_MAX && names_nth(names, i, name, sizeof(name)); i++) {
		struct refused_hand_in *item;

		if (!name_is_valid(name))
			continue;
		item = choose_entry(refusals, name);
		item->time = clock_realtime_usec();
		item->pid = client->pid;
		item->uid = client->uid;
		(void)snprintf(item->name, sizeof(item->name), "%.*s", NAME_LENGTH_MAX, name);
		(void)snprintf(item->text, sizeof(item->text), "%s", refusal->text);
	}
}

void refusals_forget(struct refusals *refusals, const char *names)
{
	char name[NAME_LENGTH_MAX + 2];

	for (size_t i = 0; names && names_nth(names, i, name, sizeof(name)); i++)
		for (size_t k = 0; k < REFUSALS_MAX; k++)
			if (*name && strcmp(refusals->items[k].name, name) == 0)
				refusals->items[k] = (struct refused_hand_in){};
}

const struct refused_hand_in *refusals_find(const struct refusals *refusals, const char *name)
{
	const struct refused_hand_in *last = NULL;

	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		const struct refused_hand_in *item = &refusals->items[i];

		if (*item->name && (!name || strcmp(item->name, name) == 0) &&
			(!last || item->time > last->time))
			last = item;
	}
	return last;
}

void refusals_write(const struct refused_hand_in *refused, struct writer *answer)
{
	if (!refused)
		return;
	writer_put(answer, KEY_HAND_IN_REFUSED, "%s", refused->text);
	writer_put(answer, KEY_HAND_IN_REFUSED_NAME, "%s", refused->name);
	writer_put(answer, KEY_HAND_IN_REFUSED_TIME, "%" PRIu64, refused->time);
	if (refused->pid)
		writer_put(answer, KEY_HAND_IN_REFUSED_PID, "%d", (int)refused->pid);
	writer_put(answer, KEY_HAND_IN_REFUSED_UID, "%u", refused->uid);
}

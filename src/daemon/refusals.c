/* SPDX-License-Identifier: BSD-3-Clause */
#include "refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../util/clock.h"
#include "../wire/names.h"

static bool may_use(const struct generation *generation, const char *name, const struct identity *identity)
{
	const struct rule *rule;
	struct refusal refusal;

	if (!identity->uid)
		return true;
	rule = rule_set_find(generation->rules, name);
	return rule && !access_check(generation->access, rule, identity, &refusal);
}

/* Whether @a is to be overwritten before @b. */
static bool is_worth_less(const struct refused_hand_in *a, const struct refused_hand_in *b)
{
	if (*a->name && *b->name && a->is_stranger != b->is_stranger)
		return a->is_stranger;
	return a->time < b->time; /* of a free one, 0 */
}

/* The entry of that name, or the one to be overwritten. NULL: none is to be. */
static struct refused_hand_in *choose_entry(struct refusals *refusals, const char *name, bool is_stranger)
{
	struct refused_hand_in *least = &refusals->items[0];

	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		struct refused_hand_in *item = &refusals->items[i];

		if (item->is_stranger == is_stranger && strcmp(item->name, name) == 0)
			return item;
		if (is_worth_less(item, least))
			least = item;
	}
	return *least->name && is_stranger && !least->is_stranger ? NULL : least;
}

void refusals_note(struct refusals *refusals, const struct generation *generation, const char *names,
	const struct identity *client, const struct refusal *refusal)
{
	char name[NAME_LENGTH_MAX + 2];

	for (size_t i = 0; i < REFUSALS_MAX && names_next(&names, name, sizeof(name)); i++) {
		struct refused_hand_in *item;
		bool is_stranger;

		if (!name_is_valid(name))
			continue;
		is_stranger = !may_use(generation, name, client);
		item = choose_entry(refusals, name, is_stranger);
		if (!item)
			continue;
		*item = (struct refused_hand_in){
			.time = clock_realtime_usec(),
			.pid = client->pid,
			.uid = client->uid,
			.is_stranger = is_stranger,
		};
		(void)snprintf(item->name, sizeof(item->name), "%.*s", NAME_LENGTH_MAX, name);
		(void)snprintf(item->text, sizeof(item->text), "%s", refusal->text);
	}
}

void refusals_forget(struct refusals *refusals, const char *names)
{
	char name[NAME_LENGTH_MAX + 2];

	while (names_next(&names, name, sizeof(name)))
		for (size_t k = 0; k < REFUSALS_MAX; k++)
			if (*name && strcmp(refusals->items[k].name, name) == 0)
				refusals->items[k] = (struct refused_hand_in){};
}

const struct refused_hand_in *refusals_find(const struct refusals *refusals,
	const struct generation *generation, const char *name, const struct identity *asker)
{
	const struct refused_hand_in *last = NULL;

	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		const struct refused_hand_in *item = &refusals->items[i];

		if (!*item->name || (name && strcmp(item->name, name) != 0) ||
			(item->uid != asker->uid && !may_use(generation, item->name, asker)))
			continue;
		if (!last || is_worth_less(last, item))
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "words.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"

#define KEY(key) [KEY_##key] = #key

static const char *const keys[KEY_N] = {
	[KEY_NONE] = "",
	KEY(ADDED),
	KEY(ADDRESS),
	KEY(APPLIED),
	KEY(BLIND),
	KEY(CLAIMED),
	KEY(CLIENT),
	KEY(COOKIE),
	KEY(CPU),
	KEY(DESTINATION),
	KEY(DEVICE),
	KEY(DUAL_STACK),
	KEY(ERRNO),
	KEY(ERROR),
	KEY(EVENT),
	KEY(EVENTS),
	KEY(EVENTS_LOST),
	KEY(EVICTED),
	KEY(FAMILY),
	KEY(FAULT),
	KEY(FAULTS),
	KEY(FDS),
	KEY(FDS_MAX),
	KEY(FILE),
	KEY(GENERATION),
	KEY(GID),
	KEY(HANDED_IN),
	KEY(HAND_INS),
	KEY(HAND_INS_REFUSED),
	KEY(HAND_IN_NSEC),
	KEY(HAND_IN_REFUSED),
	KEY(HAND_IN_REFUSED_NAME),
	KEY(HAND_IN_REFUSED_PID),
	KEY(HAND_IN_REFUSED_TIME),
	KEY(HAND_IN_REFUSED_UID),
	KEY(HAND_IN_TIMES),
	KEY(HELD),
	KEY(INSTANCE),
	KEY(KEPT),
	KEY(KEY),
	KEY(LEFT_OUT),
	KEY(LINE),
	KEY(LINK),
	KEY(LOCAL),
	KEY(LOOKUPS),
	KEY(LOST),
	KEY(MAPS),
	KEY(MATCH),
	KEY(MATCHES),
	KEY(MISSING),
	KEY(NAME),
	KEY(NAMES),
	KEY(NETNS),
	KEY(OBSTACLE),
	KEY(OK),
	KEY(OWNER),
	KEY(PID),
	KEY(PLACE),
	KEY(PORTS),
	KEY(PREFIX),
	KEY(PROBLEM),
	KEY(PROGRAM),
	KEY(PROGRAMS),
	KEY(PROTOCOL),
	KEY(REASON),
	KEY(REFUSED),
	KEY(REFUSED_DEVICE),
	KEY(REFUSED_EXISTS),
	KEY(REFUSED_FAMILY),
	KEY(REFUSED_OTHER),
	KEY(REFUSED_PROTOCOL),
	KEY(REFUSED_STATE),
	KEY(RELOAD),
	KEY(RELOADS),
	KEY(RELOADS_FAILED),
	KEY(RELOAD_REASON),
	KEY(REMOTE),
	KEY(REMOVED),
	KEY(REQUEST),
	KEY(RESIDENT),
	KEY(ROW),
	KEY(RULE),
	KEY(RULES),
	KEY(SCHEMA),
	KEY(SECTION),
	KEY(SESSIONS),
	KEY(SLOW_TURNS),
	KEY(SOCKETS),
	KEY(STARTED),
	KEY(STATE),
	KEY(TARGET),
	KEY(TEXT),
	KEY(TIME),
	KEY(UID),
	KEY(UNCOUNTED),
	KEY(UNIT),
	KEY(VALUE),
	KEY(VERDICT),
	KEY(VERIFIED),
	KEY(VERSION),
	KEY(VIA),
	KEY(WARNING),
	KEY(WINNER),
	KEY(WITHDRAWN),
	KEY(YIELDED),
};

static const char *const verbs[REQUEST_N] = {
	[REQUEST_HAND_IN] = "hand-in",
	[REQUEST_HOLD] = "hold",
	[REQUEST_WITHDRAW] = "withdraw",
	[REQUEST_EVICT] = "evict",
	[REQUEST_CLAIM] = "claim",
	[REQUEST_RELOAD] = "reload",
	[REQUEST_DETACH] = "detach",
	[REQUEST_MONITOR] = "monitor",
	[REQUEST_STATUS] = "status",
	[REQUEST_LIST] = "list",
	[REQUEST_RULES] = "rules",
	[REQUEST_EXPLAIN] = "explain",
};

static const char *const vias[VIA_N] = {
	[VIA_CLIENT] = "client",
	[VIA_LIBRARY] = "library",
	[VIA_CTL] = "usherctl",
	[VIA_DISCOVER] = "discover",
	[VIA_NOTIFY] = "notify",
	[VIA_SYSTEMD] = "systemd",
};

static const char *const states[STATE_N] = {
	[STATE_SERVING] = "serving",
	[STATE_STANDBY] = "standby",
	[STATE_MISSING] = "missing",
	[STATE_EARLY] = "early",
	[STATE_UNROUTED] = "unrouted",
};

static const char *const verdicts[VERDICT_N] = {
	[VERDICT_NO_RULE] = "no-rule",
	[VERDICT_DISPATCHED] = "dispatched",
	[VERDICT_REFUSED] = "refused",
	[VERDICT_PASSED] = "passed",
	[VERDICT_YIELDED] = "yielded",
};

static const char *const obstacles[OBSTACLE_N] = {
	[OBSTACLE_NOBODY] = "none",
	[OBSTACLE_ADDRESS] = "address",
	[OBSTACLE_ADDRESS_DEVICE] = "address-device",
	[OBSTACLE_DEVICE] = "device",
	[OBSTACLE_WILDCARD] = "wildcard",
	[OBSTACLE_UNKNOWN] = "unknown",
};

static const char *const reloads[RELOAD_N] = {
	[RELOAD_OK] = "ok",
	[RELOAD_FAILED] = "failed",
};

/* Both directions of one kind. A word that is not of this kind leaves @ret alone. */
#define DEFINE_WORDS(kind, type, words)                                                                      \
	const char *kind##_word(type value)                                                                  \
	{                                                                                                    \
		return words[value];                                                                         \
	}                                                                                                    \
                                                                                                             \
	bool kind##_from_word(const char *word, type *ret)                                                   \
	{                                                                                                    \
		for (size_t i = 0; word && i < ARRAY_SIZE(words); i++)                                       \
			if (strcmp(words[i], word) == 0) {                                                   \
				*ret = (type)i;                                                              \
				return true;                                                                 \
			}                                                                                    \
		return false;                                                                                \
	}                                                                                                    \
	struct _need_semicolon_

DEFINE_WORDS(verb, enum request_verb, verbs);
DEFINE_WORDS(via, enum via, vias);
DEFINE_WORDS(state, enum seat_state, states);
DEFINE_WORDS(verdict, enum verdict, verdicts);
DEFINE_WORDS(obstacle, enum obstacle, obstacles);
DEFINE_WORDS(reload, enum reload_outcome, reloads);

const char *yes_word(bool yes)
{
	return yes ? "yes" : "no";
}

bool yes_from_word(const char *word)
{
	return word && strcmp(word, "yes") == 0;
}

static int key_compare(const void *word, const void *item)
{
	return strcmp(word, *(const char *const *)item);
}

const char *key_word(enum message_key key)
{
	return keys[key];
}

bool key_from_word(const char *word, enum message_key *ret)
{
	/* called for every line of every packet */
	const char *const *found = bsearch(word, keys + 1, KEY_N - 1, sizeof(*keys), key_compare);

	if (found)
		*ret = (enum message_key)(found - keys);
	return found;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The words of the protocol of /run/usher/usher.sock, for both ends; docs/protocol.md describes them
 *
 * Each is spelt once, here or in words.c, so that a typo does not compile. Each kind has two functions: X_word()
 * returns the word for a value. X_from_word() is the inverse; for NULL and for a word that this version does not know,
 * it returns false and leaves @ret alone. Protocols and families of addresses are in util/transport.h, events in
 * observe/observe.h.
 */

#include <stdbool.h>

/* The keys of packets, in the order of strcmp(3) */
enum message_key {
	KEY_NONE, /* no key, or one of a newer version */
	KEY_ADDED,
	KEY_ADDRESS,
	KEY_APPLIED,
	KEY_BLIND,
	KEY_CLAIMED,
	KEY_CLIENT,
	KEY_COOKIE,
	KEY_CPU,
	KEY_DESTINATION,
	KEY_DEVICE,
	KEY_DUAL_STACK,
	KEY_ERRNO,
	KEY_ERROR,
	KEY_EVENT,
	KEY_EVENTS,
	KEY_EVENTS_LOST,
	KEY_EVICTED,
	KEY_FAMILY,
	KEY_FAULT,
	KEY_FAULTS,
	KEY_FDS,
	KEY_FDS_MAX,
	KEY_FILE,
	KEY_GENERATION,
	KEY_GID,
	KEY_HANDED_IN,
	KEY_HAND_INS,
	KEY_HAND_INS_REFUSED,
	KEY_HAND_IN_NSEC,
	KEY_HAND_IN_REFUSED,
	KEY_HAND_IN_REFUSED_NAME,
	KEY_HAND_IN_REFUSED_PID,
	KEY_HAND_IN_REFUSED_TIME,
	KEY_HAND_IN_REFUSED_UID,
	KEY_HAND_IN_TIMES,
	KEY_HELD,
	KEY_INSTANCE,
	KEY_KEPT,
	KEY_KEY,
	KEY_LEFT_OUT,
	KEY_LINE,
	KEY_LINK,
	KEY_LOCAL,
	KEY_LOOKUPS,
	KEY_LOST,
	KEY_MAPS,
	KEY_MATCH,
	KEY_MATCHES,
	KEY_MISSING,
	KEY_NAME,
	KEY_NAMES,
	KEY_NETNS,
	KEY_OBSTACLE,
	KEY_OK,
	KEY_OWNER,
	KEY_PID,
	KEY_PLACE,
	KEY_PORTS,
	KEY_PREFIX,
	KEY_PROBLEM,
	KEY_PROGRAM,
	KEY_PROGRAMS,
	KEY_PROTOCOL,
	KEY_REASON,
	KEY_REFUSED,
	KEY_REFUSED_DEVICE,
	KEY_REFUSED_EXISTS,
	KEY_REFUSED_FAMILY,
	KEY_REFUSED_OTHER,
	KEY_REFUSED_PROTOCOL,
	KEY_REFUSED_STATE,
	KEY_RELOAD,
	KEY_RELOADS,
	KEY_RELOADS_FAILED,
	KEY_RELOAD_REASON,
	KEY_REMOTE,
	KEY_REMOVED,
	KEY_REQUEST,
	KEY_RESIDENT,
	KEY_ROW,
	KEY_RULE,
	KEY_RULES,
	KEY_SCHEMA,
	KEY_SECTION,
	KEY_SESSIONS,
	KEY_SLOW_TURNS,
	KEY_SOCKETS,
	KEY_STARTED,
	KEY_STATE,
	KEY_TARGET,
	KEY_TEXT,
	KEY_TIME,
	KEY_UID,
	KEY_UNCOUNTED,
	KEY_UNIT,
	KEY_VALUE,
	KEY_VERDICT,
	KEY_VERIFIED,
	KEY_VERSION,
	KEY_VIA,
	KEY_WARNING,
	KEY_WINNER,
	KEY_WITHDRAWN,
	KEY_YIELDED,
	KEY_N,
};

const char *key_word(enum message_key key);
bool key_from_word(const char *word, enum message_key *ret);

/* REQUEST= */
enum request_verb {
	REQUEST_HAND_IN,
	REQUEST_HOLD,
	REQUEST_WITHDRAW,
	REQUEST_EVICT,
	REQUEST_CLAIM,
	REQUEST_RELOAD,
	REQUEST_DETACH,
	REQUEST_MONITOR,
	REQUEST_STATUS,
	REQUEST_LIST,
	REQUEST_RULES,
	REQUEST_EXPLAIN,
};
#define REQUEST_N (REQUEST_EXPLAIN + 1)

const char *verb_word(enum request_verb verb);
bool verb_from_word(const char *word, enum request_verb *ret);

/* VIA=: how a socket came. The numbers are those of enum usher_via, which the maps store. */
enum via {
	VIA_CLIENT, /* a program that speaks the protocol itself */
	VIA_LIBRARY,
	VIA_CTL,
	VIA_DISCOVER,
	VIA_NOTIFY,
	VIA_SYSTEMD,
};
#define VIA_N (VIA_SYSTEMD + 1)

const char *via_word(enum via via);
bool via_from_word(const char *word, enum via *ret);

/* STATE=: of a seat, or of a socket in it */
enum seat_state {
	STATE_SERVING,
	STATE_STANDBY,
	STATE_MISSING,
	STATE_EARLY,
	STATE_UNROUTED,
};
#define STATE_N (STATE_UNROUTED + 1)

const char *state_word(enum seat_state state);
bool state_from_word(const char *word, enum seat_state *ret);

/* VERDICT=: what becomes of a packet */
enum verdict {
	VERDICT_NO_RULE,
	VERDICT_DISPATCHED,
	VERDICT_REFUSED,
	VERDICT_PASSED,
	VERDICT_YIELDED,
};
#define VERDICT_N (VERDICT_YIELDED + 1)

const char *verdict_word(enum verdict verdict);
bool verdict_from_word(const char *word, enum verdict *ret);

/* OBSTACLE=: to which socket of somebody else a rule leaves a packet. The numbers are those of enum usher_obstacle_kind. */
enum obstacle {
	OBSTACLE_NOBODY,
	OBSTACLE_ADDRESS,
	OBSTACLE_ADDRESS_DEVICE,
	OBSTACLE_DEVICE,
	OBSTACLE_WILDCARD,
	OBSTACLE_UNKNOWN,
};
#define OBSTACLE_N (OBSTACLE_UNKNOWN + 1)

const char *obstacle_word(enum obstacle obstacle);
bool obstacle_from_word(const char *word, enum obstacle *ret);

/* RELOAD=: how the last reload ended */
enum reload_outcome {
	RELOAD_OK,
	RELOAD_FAILED,
};
#define RELOAD_N (RELOAD_FAILED + 1)

const char *reload_word(enum reload_outcome outcome);
bool reload_from_word(const char *word, enum reload_outcome *ret);

/* "yes" or "no"; any other word, and NULL, is no */
const char *yes_word(bool yes);
bool yes_from_word(const char *word);

/* The one value of OWNER= */
#define OWNER_PIDFD "pidfd"

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Messages to the administrator: the one place that logs
 *
 * Each kind of message has a MESSAGE_ID and an entry in the catalog (units/usher.catalog), which `journalctl -x` shows.
 * Under the service manager, messages go to the journal with their fields, elsewhere to standard error.
 *
 * At run time a healthy system logs only sockets that come and go. For messages that a client or a packet can cause,
 * each uid has a limit: OBSERVE_LIMIT of a kind in OBSERVE_LIMIT_SECONDS. A later message says how many were left out.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OBSERVE_LIMIT 20U
#define OBSERVE_LIMIT_SECONDS 10U

enum observe_kind {
	OBSERVE_HANDED_IN,  /* a socket is in its seats */
	OBSERVE_ALTERED,    /* the kernel's map alters a UDP socket for its owner; once, at the first one */
	OBSERVE_WITHDRAWN,  /* a client took sockets out */
	OBSERVE_TAKEN_OVER, /* the socket that served has closed, an older one serves */
	OBSERVE_GONE,	    /* the last socket of a seat has closed */
	OBSERVE_REFUSED,    /* a request was refused */
	OBSERVE_MISSING,    /* traffic came, and no socket could take it */
	OBSERVE_RELOADED,   /* the rules were read again and are in force */
	OBSERVE_FAULT,	    /* a rule file could not be used at the start */
	OBSERVE_UNKNOWN,    /* a rule names a user or a group that does not exist */
	OBSERVE_RELOAD_FAILED, /* they could not be, the old ones stay in force */
	OBSERVE_SWITCHED,      /* a generation became current */
	OBSERVE_RESTORED,      /* a held socket came back from the service manager */
	OBSERVE_CONFLICT,      /* another sk_lookup program runs in the namespace */
	OBSERVE_LOST,	       /* pins were missing, so sockets that were handed in before are lost */
	OBSERVE_DETACHED,      /* everything was removed from the kernel */
	OBSERVE_NOT_STARTED,   /* the broker cannot start */
	OBSERVE_EVICTED,       /* a listener that Listen=kernel let in was taken out again */
	OBSERVE_PASSED_OVER,   /* a socket that [Discover] describes is not handed in */
	OBSERVE_SCANNING,      /* sockets are found later than they could be */
	OBSERVE_NO_BROKER,     /* usher-discover cannot reach the broker */
	OBSERVE_UNREACHABLE,   /* usher-relay cannot connect to a backend */
	OBSERVE_REACHED,       /* usher-relay can again */
	OBSERVE_FULL,	       /* usher-relay has as many connections as it may have */
	OBSERVE_FAILED,	       /* an unexpected failure */
	OBSERVE_KINDS,
};

/* What a message is about. Any field may be left out: zero and NULL mean not known. */
struct observed {
	const char *name;	/* USHER_NAME= */
	const char *rule;	/* USHER_RULE=: path of the rule's file */
	int protocol;		/* USHER_PROTOCOL=: IPPROTO_TCP or IPPROTO_UDP */
	int family;		/* USHER_FAMILY= of the seat: AF_INET or AF_INET6 */
	const uint8_t *address; /* USHER_ADDRESS=, of address_family, and USHER_PORT= */
	int address_family;
	uint16_t port;
	const uint8_t *client; /* USHER_CLIENT=, of address_family: the sender of the packet */
	uint16_t client_port;
	const char *device; /* USHER_DEVICE=, by which the packet came */
	uint64_t cookie;    /* USHER_COOKIE=, hexadecimal as in `ss -e` */
	const char *reason; /* USHER_REASON= */
	int error;	    /* ERRNO=, positive */
	uid_t uid;	    /* USHER_UID=, when `by_client` */
	pid_t pid; /* OBJECT_PID=: a live process that this is about; `journalctl -u` of its unit shows the message */
	const char *unit; /* OBJECT_SYSTEMD_UNIT=: the same for a process that may have gone */
	int by_client;	  /* a client caused it: the limit counts for its uid */
};

/* observe() - @about may be NULL */
void observe(enum observe_kind kind, const struct observed *about, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* observe_as() - set the name of this program, for SYSLOG_IDENTIFIER= and the beginning of lines; default "usherd" */
void observe_as(const char *program);

/* observe_word() - the word for a kind: its name above in lower case, "taken-over" */
const char *observe_word(enum observe_kind kind);

/* observe_from_word() - the inverse; false for another word, or NULL */
bool observe_from_word(const char *word, enum observe_kind *ret);

/* @about is never NULL; @text is one line. Must not call observe(). */
typedef void observe_listener(
	enum observe_kind kind, const struct observed *about, const char *text, void *userdata);

/* observe_listen() - call this function, and no other, for each message from now on, left out or not; NULL ends it */
void observe_listen(observe_listener *function, void *userdata);

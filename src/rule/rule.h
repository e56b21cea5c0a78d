/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Rules as they are in the files: usher.rules(5)
 *
 * A rule set is parsed once and never changed afterwards; a reload makes another one. Nothing here knows about maps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../util/macro.h"
#include "../util/prefix.h"
#include "problem.h"

struct rule_match {
	uint8_t protocol;     /* IPPROTO_TCP (Stream=) or IPPROTO_UDP (Datagram=) */
	struct prefix prefix; /* family AF_UNSPEC: any address of both families */
	uint16_t first, last; /* ports, 1 to 65535, first <= last */
	unsigned line;
};

/* A list of words of one key, in the order of the file. */
struct rule_words {
	struct {
		char *text;
		unsigned line;
	} * items;
	size_t n;
};

struct rule_access {
	bool present; /* there is a section [Access]; without it only root may hand in */
	struct rule_words users, groups, units, user_units;
	struct prefix *bound; /* where sockets may be bound; the default if Bound= is not set */
	size_t n_bound;
	bool bound_any;	     /* Bound=any: no limit; n_bound is 0 */
	unsigned bound_line; /* 0: the default */
};

/* Which listening socket of a daemon that cannot hand in is handed in under the name, and who may own it */
struct rule_discover {
	bool present;		    /* there is a section [Discover]; then there is at least one socket */
	struct rule_match *sockets; /* protocol is 0: as in the matches; one port; AF_UNSPEC: any address */
	size_t n_sockets;
	struct rule_words users, units, user_units, executables;
	bool in_kernel;	      /* Listen=kernel; then there are 1 to RULE_KERNEL_USERS_MAX users */
	unsigned listen_line; /* 0: the default, Listen=event */
	unsigned
		scan_interval_ms; /* ScanInterval=, the longest time between two scans where there are no events */
	unsigned scan_line;	  /* 0: the default, RULE_SCAN_INTERVAL_MS */
};

/* A time of a key; 0 ms: off */
struct rule_time {
	unsigned ms;
	unsigned line; /* 0: the default */
};

/* Where a relay connects to */
struct rule_backend {
	char *text;	     /* as in the file; of AF_UNIX the path, or '@' and the abstract name */
	int family;	     /* AF_INET, AF_INET6 or AF_UNIX */
	uint8_t address[16]; /* of an IP address, in network order */
	uint16_t port;
	unsigned line;
};

enum rule_send_proxy {
	RULE_SEND_PROXY_NO,
	RULE_SEND_PROXY_V1,
	RULE_SEND_PROXY_V2,
};

/* How usher-relay serves the name: where to, and within which limits */
struct rule_relay {
	bool present;		       /* there is a section [Relay]; then there is at least one backend */
	struct rule_backend *backends; /* in the order in which they are tried */
	size_t n_backends;
	enum rule_send_proxy send_proxy;
	unsigned send_proxy_line;
	struct prefix *proxies; /* AcceptProxy=: peers whose connections begin with a PROXY header */
	size_t n_proxies;
	unsigned accept_proxy_line;
	bool transparent;
	unsigned transparent_line;
	unsigned max_connections, max_connections_line;
	struct rule_time connect_timeout, idle_timeout, half_close_timeout, keep_alive;
	struct rule_time session_timeout; /* of UDP; never off */
};

#define RULE_SCAN_INTERVAL_MS 5000U
#define RULE_KERNEL_USERS_MAX 8U

/* Order=: which sockets of others come before those of the rule */
enum rule_order {
	RULE_FIRST,	      /* none */
	RULE_BEFORE_WILDCARD, /* those bound to the address of the packet */
	RULE_LAST,	      /* all of them */
	RULE_ORDERS,
};

struct rule_origin; /* file.h */

struct rule {
	char *name; /* file name without ".rule" */
	char *path;
	struct rule_match *matches; /* at least one */
	size_t n_matches;
	bool missing_pass;
	unsigned missing_line; /* 0: the default */
	enum rule_order order;
	unsigned order_line;	   /* 0: the default */
	struct rule_words sockets; /* Sockets=: socket units of the service manager */
	struct rule_access access;
	struct rule_discover discover;
	struct rule_relay relay;
	struct rule_origin *origin; /* NULL: not from a file, or from one that must be read again */
	char *text;		    /* of the file, until spare_save() has copied it; else NULL */
	size_t text_size;
};

struct rule_fault; /* fault.h */

struct rule_set {
	struct rule *rules; /* sorted by name */
	size_t n_rules;
	struct rule_fault *faults; /* names whose file could not be used; only after files_load_good() */
	size_t n_faults;
};

/* rule_set_free() - accepts NULL; returns NULL */
struct rule_set *rule_set_free(struct rule_set *set);
DEFINE_CLEANUP(struct rule_set, rule_set_free);

/* rule_set_find() - the rule of a name, or NULL */
const struct rule *rule_set_find(const struct rule_set *set, const char *name);

/* rule_is_same() - whether both come from one reading of a file, and so are equal */
bool rule_is_same(const struct rule *a, const struct rule *b);

/* rule_match_concerns() - whether a match may cover packets of a protocol and family; AF_UNSPEC: of either family */
bool rule_match_concerns(const struct rule_match *match, int protocol, int family);

/* rule_match_is_endpoint() - whether it is one address and one port */
bool rule_match_is_endpoint(const struct rule_match *match);

/* rule_has_match() - whether that is true for any match of the rule */
bool rule_has_match(const struct rule *rule, int protocol, int family);

/* Outcome of files_load() and parse_rule() besides 0 */
enum {
	RULE_BAD = 1, /* the problems say what */
};

#define RULE_FILE_MAX (64U * 1024U * 1024U) /* RULE_MATCHES_MAX of the longest matches, a line each */
#define RULE_LINE_MAX (64U * 1024U)
#define RULE_MATCHES_MAX 1000000U /* of one rule */
#define RULE_WORDS_MAX 4096U	  /* of one key whose value is a list of words */
#define RULE_BACKENDS_MAX 16U	  /* of one rule */

void rule_deinit(struct rule *rule);

/* rule_share() - the same rule for another set, which needs its own rule_deinit(); only for a rule with an origin */
struct rule rule_share(const struct rule *rule);

/* rule_order_word() - "first", "before-wildcard" or "last" */
const char *rule_order_word(enum rule_order order);

/* rule_match_key() - "Stream" or "Datagram": the key of the matches of a protocol */
const char *rule_match_key(int protocol);

#define RULE_MATCH_TEXT_MAX 96

/* rule_match_format() - a match as in a file: "192.0.2.0/24:80", "[2001:db8::/48]:8000-8099", "*", "53" */
const char *rule_match_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX]);

/* rule_match_format_brief() - as rule_match_format(), but a single address without a length: "127.0.0.2:80" */
const char *rule_match_format_brief(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX]);

/* rule_ports_format() - "80", "8000-8099" or "*" (1-65535) */
const char *rule_ports_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX]);

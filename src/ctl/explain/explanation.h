/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the broker says about a packet: the answers to explain, status, list and rules, put together */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../rule/rule.h"
#include "../../util/name.h"
#include "../../wire/words.h"
#include "../ctl.h"
#include "../view/settings.h"

/* The packet: its destination, and what was told about how it comes */
struct asked {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	int family;
	uint8_t local[16]; /* network order, IPv4 in the first 4 bytes */
	uint16_t port;
	bool has_remote; /* --from was given */
	uint8_t remote[16];
	uint16_t remote_port;
	uint32_t device; /* --device, or that of --from; 0: not given */
	/* by which a lookup sees it come: the VRF, and what the host sends to itself comes by the device of the address */
	uint32_t ingress;
	bool by_vrf;   /* `ingress` is a VRF */
	bool has_mark; /* --mark was given */
	uint32_t mark;
	char text[ENDPOINT_TEXT_MAX], from[ENDPOINT_TEXT_MAX]; /* `from` is "" without --from */
};

/* A match that covers it */
struct cover {
	char *name, *file, *text;
	unsigned long line;
	struct rule_match match; /* its prefix and ports */
	bool has_socket; /* its name has a socket for the packet; known only if the packet finds no socket */
};

/* A socket in the seat of the winner */
struct explained_place {
	unsigned number; /* of the place: 1 serves, and members of one group share it */
	uint64_t cookie; /* 0: none */
	bool held, dual_stack, stand_in;
	bool serves; /* the first place of the seat does, with all of its SO_REUSEPORT group */
	int family;  /* of `address`; 0 when the broker does not know the address */
	uint8_t address[16];
	uint16_t port;
	char text[ENDPOINT_TEXT_MAX]; /* address, port, and device at the hand-in */
	pid_t pid;		      /* 0: not known */
	uid_t uid;
	char *unit, *via, *handed_in; /* NULL: none, or not known */
};

#define MEMBERS_SHOWN 8U /* of a place, which is one socket or an SO_REUSEPORT group */
#define PLACES_MAX 64	 /* the broker has at most 8 places */

/* The last refused hand-in of the winner, or under a name without a rule, which may be a misspelling of it */
struct refused {
	char *name, *reason, *time; /* NULL: there is none */
	pid_t pid;		    /* 0: not known */
	uid_t uid;
};

struct explanation {
	enum verdict verdict;
	enum obstacle obstacle;		/* of VERDICT_YIELDED */
	char name[NAME_LENGTH_MAX + 1]; /* of the winner, "" */
	uint64_t cookie;		/* of the socket that the program selects */
	char error[32];			/* "ESOCKTNOSUPPORT", "" */
	char generation[32];
	struct cover *covers; /* the strongest first */
	size_t n_covers, n_left_out;
	struct explained_place places[PLACES_MAX];
	size_t n_places;
	unsigned n_seated[2][2];       /* sockets of the name in its seats, by [UDP][IPv6] */
	unsigned long n_chosen_before; /* how often another program was first (REFUSED_EXISTS) */
	struct settings settings;      /* of the winner */
	struct refused refused;
	/* of status */
	bool attached,
		foreign_namespace; /* the broker serves another network namespace than that of this process */
	pid_t broker;
	unsigned long n_programs; /* sk_lookup programs of the namespace; 1 when the kernel does not say */
	char instance[NAME_LENGTH_MAX + 1];
	char *reload_failure; /* NULL: the last reload went well */
};

#define EXPLANATION_NULL ((struct explanation){.n_programs = 1})

void explanation_deinit(struct explanation *explanation);

/*
 * explanation_read() - ask the broker
 *
 * Return: 0, REFUSED, CLIENT_ABSENT, or -ENOMEM.
 */
int explanation_read(
	const struct ctl *ctl, const struct asked *asked, struct explanation *ret, struct refusal *refusal);

/* explanation_chosen() - the place that the program selects, or NULL */
const struct explained_place *explanation_chosen(const struct explanation *explanation);

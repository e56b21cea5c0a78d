/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What acts on a packet before the lookup of a socket: the packet filters of the kernel
 *
 * The rules of nf_tables are followed. What else there is is found, and not looked at: the tables of iptables-legacy,
 * programs at a device.
 */

#include "walk.h"

/* Something that may act on the packet, and that this program does not look at */
struct unseen {
	enum unseen_kind {
		UNSEEN_LEGACY, /* the tables of iptables-legacy in `name`, or ip6tables-legacy */
		UNSEEN_XDP,    /* a program at the device `name` */
		UNSEEN_TC,     /* filters of tc(8) there */
		UNSEEN_BRIDGE, /* chains of the family bridge, and a bridge `name` */
	} kind;
	char name[64];
};

struct passage {
	struct acts acts;
	bool sent; /* `destination` is another one than the packet had */
	uint8_t destination[16];
	uint16_t port;
	/* a loopback address, which the kernel accepts from other hosts only with route_localnet */
	enum { LOOPBACK_FINE, LOOPBACK_OPEN, LOOPBACK_DROPPED } loopback;
	struct unseen *unseen;
	size_t n_unseen;
	struct refusal unknown;		/* error is 0 when the rules were read */
	struct refusal devices_unknown; /* likewise, whether there are programs at a device */
};

#define PASSAGE_NULL ((struct passage){})

/* passage_read() - @ret: to be released on any result. Return: 0 or -ENOMEM. */
int passage_read(const struct probe_question *question, struct passage *ret);
void passage_deinit(struct passage *passage);

/*
 * passage_follow() - the rules of nf_tables alone, for one of many packets
 * @ret: to be released with acts_deinit() on any result
 *
 * Return: 0, REFUSED (the devices cannot be listed), or -ENOMEM.
 */
int passage_follow(struct ruleset *ruleset, const struct probe_question *question, struct acts *ret);

/* passage_is_open() - something may act that depends on what was not asked for, or was not looked at */
bool passage_is_open(const struct passage *passage);

/* passage_may_send() - and it may send the packet elsewhere */
bool passage_may_send(const struct passage *passage);

/* unseen_format() - "an XDP program at eth0 sees packets first"; unseen_format_command() - the command that shows it */
#define UNSEEN_TEXT_MAX 160
const char *unseen_format(const struct unseen *unseen, char text[static UNSEEN_TEXT_MAX]);
const char *unseen_format_command(const struct unseen *unseen, int family, char text[static UNSEEN_TEXT_MAX]);

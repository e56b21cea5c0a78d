/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the service manager passed in $LISTEN_FDS, and what of it is to be handed in as what
 *
 * The user does not choose this set: a socket unit has lines for other purposes, a service has other socket units, and
 * its descriptor store comes along at a restart. So what is not for usher is left to the service, each with the reason.
 */

#include <stdbool.h>
#include <stddef.h>

#include "ctl.h"
#include "view/socket_rules.h"

struct passed_fd {
	int fd;
	const char *name; /* in $LISTEN_FDNAMES; NULL if that is not set */
	bool can_serve;	  /* a TCP or UDP socket that others can connect or send to */
	bool handed_in;
	char *why; /* the reason why it is not */
};

/* A descriptor, and a name that it is to be handed in as */
struct passed_offer {
	struct passed_fd *fd;
	const char *name;
	bool done;
};

struct passed {
	struct passed_fd *fds;
	size_t n_fds;
	char *names; /* those of the descriptors, each terminated; NULL if $LISTEN_FDNAMES is not set */
	struct passed_offer *offers; /* those of one name follow one another */
	size_t n_offers;
	char *chosen; /* the names of the arguments, each terminated */
	char *text;   /* passed_describe() */
};

void passed_deinit(struct passed *passed);

/*
 * passed_read() - read the environment, and find what to offer
 * @rules: of the unit whose sockets they are; if there are any, all sockets are offered as each of them
 *
 * With arguments NAME=FDNAME, these choose the descriptors. With an argument NAME, it is the name of all of them, which
 * must have one FDNAME then. Otherwise, each has its own name.
 *
 * Complains on failure. There is at least one offer on success. Return: an exit code.
 */
int passed_read(const struct ctl *ctl, const struct socket_rules *rules, struct passed *passed);

/* passed_leave() - record why a descriptor is not handed in; Return: 0 or -ENOMEM */
int passed_leave(struct passed_fd *fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* passed_is_whole() - is everything offered that was passed? */
bool passed_is_whole(const struct passed *passed);

/*
 * passed_describe() - set passed->text for messages: the names, separated by colons, of what is offered, or of what has been
 * handed in as soon as something has. passed_read() does so too.
 *
 * Return: 0 or -ENOMEM.
 */
int passed_describe(const struct ctl *ctl, struct passed *passed);

/*
 * passed_complain() - a line on standard error for each descriptor that is not handed in; those alike share one
 * @goes_on: it is left to the service, which starts
 */
void passed_complain(const struct passed *passed, bool goes_on);

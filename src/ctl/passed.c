/* SPDX-License-Identifier: BSD-3-Clause */
#include "passed.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "complain.h"
#include "host/own_unit.h"
#include "listen.h"

void passed_deinit(struct passed *passed)
{
	for (size_t i = 0; passed->fds && i < passed->n_fds; i++)
		free(passed->fds[i].why);
	free(passed->fds);
	free(passed->names);
	free(passed->offers);
	free(passed->chosen);
	free(passed->text);
}

int passed_leave(struct passed_fd *fd, const char *format, ...)
{
	va_list ap;
	int r;

	free(fd->why);
	va_start(ap, format);
	r = vasprintf(&fd->why, format, ap);
	va_end(ap);
	if (r >= 0)
		return 0;
	fd->why = NULL;
	return -ENOMEM;
}

/* ---- what can serve at all */

static int option_of(int fd, int option)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static bool is_bound(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} local = {};
	socklen_t size = sizeof(local);

	if (getsockname(fd, &local.any, &size) < 0)
		return false;
	return local.any.sa_family == AF_INET6 ? local.in6.sin6_port : local.in.sin_port;
}

/* Why nobody can connect or send to it; NULL if somebody can. An MPTCP listener can be refused by the broker, who says how
 * to do without. */
static const char *why_it_cannot_serve(int fd)
{
	int family = option_of(fd, SO_DOMAIN), type = option_of(fd, SO_TYPE),
	    protocol = option_of(fd, SO_PROTOCOL);

	if (family < 0)
		return "not a socket";
	if (family == AF_UNIX)
		return "a Unix socket, not TCP or UDP";
	if (family != AF_INET && family != AF_INET6)
		return "a socket of another kind than TCP and UDP";
	if (type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) {
		if (option_of(fd, SO_ACCEPTCONN) == 1)
			return NULL;
		return is_connected(fd) ? "a TCP connection, not a listening socket"
					: "a TCP socket that does not listen";
	}
	if (type != SOCK_DGRAM || protocol != IPPROTO_UDP)
		return "a socket of another kind than TCP and UDP";
	if (is_connected(fd))
		return "a connected UDP socket";
	return is_bound(fd) ? NULL : "a UDP socket that is not bound";
}

static int examine(struct passed_fd *fd)
{
	const char *why = why_it_cannot_serve(fd->fd);

	fd->can_serve = !why;
	return why ? passed_leave(fd, "%s", why) : 0;
}

static int read_fds(struct passed *passed, const struct listening *listening)
{
	char *name;

	passed->fds = calloc(listening->n, sizeof(*passed->fds));
	passed->names = listening->names ? strdup(listening->names) : NULL;
	if (!passed->fds || (listening->names && !passed->names))
		return -ENOMEM;
	passed->n_fds = listening->n;
	name = passed->names;
	for (size_t i = 0; i < passed->n_fds; i++) {
		char *colon = name ? strchr(name, ':') : NULL;

		if (colon)
			*colon = '\0';
		passed->fds[i] = (struct passed_fd){.fd = LISTEN_FIRST + (int)i, .name = name};
		name = colon ? colon + 1 : NULL;
		if (examine(&passed->fds[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- what to offer as what */

static int add_offer(struct passed *passed, struct passed_fd *fd, const char *name)
{
	if (ARRAY_RESERVE(passed->offers, passed->n_offers) < 0)
		return -ENOMEM;
	passed->offers[passed->n_offers++] = (struct passed_offer){.fd = fd, .name = name};
	return 0;
}

/* "'http', 'https' and 'admin'": the names of the sockets, each once */
static const char *list_names(const struct passed *passed, char *text, size_t size, size_t *ret_n)
{
	size_t at = 0;

	*ret_n = 0;
	text[0] = '\0';
	for (size_t i = 0; i < passed->n_fds; i++) {
		const struct passed_fd *fd = &passed->fds[i];
		bool seen = !fd->can_serve || !fd->name;

		for (size_t j = 0; j < i && !seen; j++)
			seen = passed->fds[j].can_serve && passed->fds[j].name &&
			       strcmp(passed->fds[j].name, fd->name) == 0;
		if (seen)
			continue;
		if (at < size)
			at += (size_t)snprintf(
				text + at, size - at, "%s'%.64s'", (*ret_n)++ ? ", " : "", fd->name);
	}
	return text;
}

static int offer_all_as(struct passed *passed, const char *name)
{
	char names[512];
	size_t n;

	(void)list_names(passed, names, sizeof(names), &n);
	if (n > 1) {
		complain(
			"cannot hand in '%s': $LISTEN_FDNAMES has sockets of %zu names, and they come in no particular order: %s (EINVAL); choose with %s=FDNAME, for one or for several, or give no NAME, so that each is handed in under its own",
			name, n, names, name);
		return EXIT_BAD_CONFIG;
	}
	for (size_t i = 0; i < passed->n_fds; i++)
		if (passed->fds[i].can_serve && add_offer(passed, &passed->fds[i], name) < 0)
			return complain_memory();
	return EXIT_SUCCESS;
}

static int offer_chosen(struct passed *passed, const char *name, const char *fd_name)
{
	size_t before = passed->n_offers, n;
	char names[512];

	for (size_t i = 0; i < passed->n_fds; i++) {
		struct passed_fd *fd = &passed->fds[i];

		if (fd->can_serve && fd->name && strcmp(fd->name, fd_name) == 0 &&
			add_offer(passed, fd, name) < 0)
			return complain_memory();
	}
	if (passed->n_offers > before)
		return EXIT_SUCCESS;
	if (!passed->names) {
		complain(
			"cannot hand in '%s': the sockets have no names, $LISTEN_FDNAMES is not set (EINVAL); give '%s' without '=%s', or --fd",
			name, name, fd_name);
		return EXIT_BAD_CONFIG;
	}
	(void)list_names(passed, names, sizeof(names), &n);
	complain(
		"cannot hand in '%s': no TCP or UDP socket in $LISTEN_FDS has the name '%s' (ENOENT); %s%s: see FileDescriptorName= of the socket units, and Sockets= of the service",
		name, fd_name, n ? "there are " : "there is none at all", names);
	return EXIT_BAD_CONFIG;
}

/* Offers of one name must follow one another. */
static void sort_offers(struct passed *passed)
{
	for (size_t i = 0; i < passed->n_offers; i++)
		for (size_t j = i + 1, at = i + 1; j < passed->n_offers; j++) {
			struct passed_offer offer = passed->offers[j];

			if (strcmp(offer.name, passed->offers[i].name) != 0)
				continue;
			memmove(&passed->offers[at + 1], &passed->offers[at], (j - at) * sizeof(offer));
			passed->offers[at++] = offer;
		}
}

static int offer_by_arguments(const struct ctl *ctl, struct passed *passed)
{
	size_t size = 1;
	char *at;

	for (size_t i = 0; i < ctl->n_names; i++)
		size += strlen(ctl->names[i]) + 1;
	passed->chosen = at = malloc(size);
	if (!at)
		return complain_memory();
	for (size_t i = 0; i < ctl->n_names; i++) {
		char *name = at, *fd_name;
		int r;

		at = stpcpy(at, ctl->names[i]) + 1;
		fd_name = strchr(name, '=');
		if (fd_name)
			*fd_name++ = '\0';
		r = fd_name ? offer_chosen(passed, name, fd_name) : offer_all_as(passed, name);
		if (r)
			return r;
	}
	for (size_t i = 0; i < passed->n_fds; i++)
		if (passed->fds[i].can_serve && passed_leave(&passed->fds[i], "not chosen") < 0)
			return complain_memory();
	return EXIT_SUCCESS;
}

static int offer_by_own_names(struct passed *passed)
{
	if (!passed->names) {
		complain(
			"cannot hand in: the sockets have no names, $LISTEN_FDNAMES is not set (EINVAL); give a NAME");
		return EXIT_BAD_CONFIG;
	}
	for (size_t i = 0; i < passed->n_fds; i++) {
		struct passed_fd *fd = &passed->fds[i];

		if (!fd->can_serve)
			continue;
		if (name_is_valid(fd->name)
				? add_offer(passed, fd, fd->name) < 0
				: passed_leave(fd,
					  "a rule cannot have this name (EINVAL): " NAME_RULE
					  "; to hand it in, set FileDescriptorName= in the socket unit, or choose it with NAME=FDNAME") <
					  0)
			return complain_memory();
	}
	return EXIT_SUCCESS;
}

static int offer_by_rules(struct passed *passed, const struct socket_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		for (size_t j = 0; j < passed->n_fds; j++)
			if (passed->fds[j].can_serve &&
				add_offer(passed, &passed->fds[j], rules->items[i].name) < 0)
				return complain_memory();
	return EXIT_SUCCESS;
}

static int refuse_all(const struct ctl *ctl, const struct passed *passed)
{
	bool any = false;

	for (size_t i = 0; i < passed->n_fds; i++)
		any = any || passed->fds[i].can_serve;
	passed_complain(passed, false);
	if (any) {
		complain(
			"cannot hand in: no socket in $LISTEN_FDNAMES has a name that a rule can have (EINVAL)");
		return EXIT_BAD_CONFIG;
	}
	if (ctl->n_names)
		complain(
			"cannot hand in '%s': nothing in $LISTEN_FDS is a listening TCP or a bound UDP socket (ENOTSOCK); see Sockets= of the unit",
			ctl->names[0]);
	else
		complain(
			"cannot hand in: nothing in $LISTEN_FDS is a listening TCP or a bound UDP socket (ENOTSOCK); see Sockets= of the unit");
	return EXIT_FAILURE;
}

int passed_describe(const struct ctl *ctl, struct passed *passed)
{
	const char *last = "";
	bool any = false;
	size_t size = 1;
	char *at;

	for (size_t i = 0; i < passed->n_offers; i++) {
		size += strlen(passed->offers[i].name) + 1;
		any = any || passed->offers[i].done;
	}
	free(passed->text);
	passed->text = at = calloc(1, size);
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < passed->n_offers; i++) {
		const struct passed_offer *offer = &passed->offers[i];

		if (offer->done != any || (ctl->n_names && strcmp(offer->name, last) == 0))
			continue;
		at = stpcpy(stpcpy(at, *last ? ":" : ""), offer->name);
		last = offer->name;
	}
	return 0;
}

/* Nothing was passed. In a unit, its line or its socket units are the reason. */
static int explain_absence(struct refusal *refusal)
{
	struct own_unit unit;
	int r = own_unit_read(&unit);

	if (r < 0 || !*unit.name)
		return r;
	if (unit.key)
		(void)refuse(refusal, ENOENT,
			"no socket was passed (ENOENT): systemd passes sockets to ExecStart= only, and this is %s= of %s; write ExecStart=usherctl hand-in -- COMMAND there, or enable usher@NAME.service for NAME.socket",
			unit.key, unit.name);
	else if (*unit.socket)
		(void)refuse(refusal, ENOENT,
			"no socket was passed (ENOENT): %s, which passes its sockets to %s, is not active; see 'systemctl status %s'",
			unit.socket, unit.name, unit.socket);
	else
		(void)refuse(refusal, ENOENT,
			"no socket was passed (ENOENT): %s has no socket unit that is active; name it with Sockets=NAME.socket in %s, or with Service=%s in the socket unit",
			unit.name, unit.name, unit.name);
	return 0;
}

int passed_read(const struct ctl *ctl, const struct socket_rules *rules, struct passed *passed)
{
	struct listening listening;
	struct refusal refusal;
	int r;

	r = listen_read(&listening, &refusal);
	if (r == LISTEN_NONE && refusal.error == ENOENT && explain_absence(&refusal) < 0)
		return complain_memory();
	if (r) {
		if (ctl->n_names > 0)
			complain("cannot hand in '%s': %s", ctl->names[0], refusal.text);
		else
			complain("cannot hand in: %s", refusal.text);
		return EXIT_BAD_CONFIG;
	}
	if (read_fds(passed, &listening) < 0)
		return complain_memory();
	if (rules->n)
		r = offer_by_rules(passed, rules);
	else
		r = ctl->n_names ? offer_by_arguments(ctl, passed) : offer_by_own_names(passed);
	if (r)
		return r;
	if (!passed->n_offers)
		return refuse_all(ctl, passed);
	sort_offers(passed);
	return passed_describe(ctl, passed) < 0 ? complain_memory() : EXIT_SUCCESS;
}

/* ---- what is left */

static bool is_offered(const struct passed *passed, const struct passed_fd *fd)
{
	for (size_t i = 0; i < passed->n_offers; i++)
		if (passed->offers[i].fd == fd)
			return true;
	return false;
}

bool passed_is_whole(const struct passed *passed)
{
	for (size_t i = 0; i < passed->n_fds; i++)
		if (!is_offered(passed, &passed->fds[i]))
			return false;
	return true;
}

static bool are_alike(const struct passed_fd *a, const struct passed_fd *b)
{
	return !b->handed_in && b->why && strcmp(a->why, b->why) == 0 &&
	       (a->name ? strcmp(a->name, b->name) == 0 : !b->name);
}

void passed_complain(const struct passed *passed, bool goes_on)
{
	const char *what = goes_on ? "left to the service" : "not handed in";

	for (size_t i = 0, next; i < passed->n_fds; i = next) {
		const struct passed_fd *fd = &passed->fds[i];
		const char *name = fd->name ? fd->name : "";
		const char *before = *name ? " '" : "", *after = *name ? "'" : "";

		next = i + 1;
		if (fd->handed_in || !fd->why)
			continue;
		while (next < passed->n_fds && are_alike(fd, &passed->fds[next]))
			next++;
		if (next == i + 1)
			complain("descriptor %d%s%s%s is %s: %s", fd->fd, before, name, after, what, fd->why);
		else
			complain("descriptors %d to %d%s%s%s are %s: %s", fd->fd,
				fd->fd + (int)(next - i) - 1, before, name, after, what, fd->why);
	}
}

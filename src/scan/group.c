/* SPDX-License-Identifier: BSD-3-Clause */
#include "group.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

void group_refuse_candidate(struct scan_candidate *candidate)
{
	closep(&candidate->fd);
	candidate->fd = -1;
	closep(&candidate->owner.pidfd);
	candidate->owner.pidfd = -1;
	candidate->accepted = false;
}

static bool serves(const struct scan_candidate *candidate, int family)
{
	return candidate->accepted && diag_serves(&candidate->socket, family);
}

static bool is_alike(const struct diag_socket *a, const struct diag_socket *b)
{
	return a->family == b->family && a->port == b->port && a->interface == b->interface &&
	       a->v6only == b->v6only && a->uid == b->uid &&
	       !memcmp(a->address, b->address, sizeof(a->address));
}

/* Find two candidates that serve this family and differ. */
struct pair {
	const struct scan_candidate *a, *b;
};

static struct pair find_conflict(const struct scan_candidate *candidates, size_t n, int family)
{
	const struct scan_candidate *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!serves(&candidates[i], family))
			continue;
		if (!first)
			first = &candidates[i];
		else if (!is_alike(&first->socket, &candidates[i].socket))
			return (struct pair){.a = first, .b = &candidates[i]};
	}
	return (struct pair){.a = NULL};
}

static void refuse_ambiguous(struct scan_candidate *candidate, const struct scan_candidate *other)
{
	char text[ENDPOINT_TEXT_MAX];
	const uint8_t *address;
	int family = diag_address(&other->socket, &address);

	(void)refuse(&candidate->refusal, ENOTUNIQ,
		"is one of several that [Discover] describes, but they are not one SO_REUSEPORT group (ENOTUNIQ): pid %d has %s; describe only one of them with Socket=, User=, Unit= or Executable= in %s",
		other->owner.pid, endpoint_format(family, address, other->socket.port, text),
		candidate->rule->path);
}

void group_check_bound(struct scan_candidate *candidates, size_t n)
{
	struct pair v4 = find_conflict(candidates, n, AF_INET), v6 = find_conflict(candidates, n, AF_INET6);

	for (size_t i = 0; i < n; i++) {
		struct scan_candidate *candidate = &candidates[i];
		const struct pair *conflict = NULL;

		if (v4.a && serves(candidate, AF_INET))
			conflict = &v4;
		else if (v6.a && serves(candidate, AF_INET6))
			conflict = &v6;
		if (!conflict)
			continue;
		refuse_ambiguous(candidate, candidate == conflict->a ? conflict->b : conflict->a);
		group_refuse_candidate(candidate);
	}
}

void group_refuse_all(struct scan_candidate *candidates, size_t n)
{
	const struct scan_candidate *first = NULL, *second = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!candidates[i].accepted)
			continue;
		second = first && !second ? &candidates[i] : second;
		first = first ?: &candidates[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (!candidates[i].accepted)
			continue;
		refuse_ambiguous(&candidates[i], &candidates[i] == first ? second ?: first : first);
		group_refuse_candidate(&candidates[i]);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../util/array.h"
#include "../util/device.h"
#include "../util/transport.h"
#include "fetch.h"
#include "group.h"
#include "openers.h"
#include "owner.h"
#include "target.h"

#define ROUNDS_MAX 4

/* Outcomes within a round besides 0 and REFUSED */
enum {
	ROUND_CHANGED = 2, /* something had changed when it was examined again */
	ROUND_UNSETTLED,   /* the probable owner alone does not settle every candidate */
};

/* One attempt at a scan */
struct round {
	const struct scan *scan;
	unsigned number;
	bool last; /* a candidate that changes now is refused */
	pid_t pid; /* only this process */
	struct diag_socket *sockets;
	size_t n_sockets;
	struct target_hits hits;
	struct openers openers;
	struct owners owners;
	size_t n_refused; /* of the rule at which the scan is */
	struct scan_candidates candidates;
	size_t *sockets_of; /* the index of each candidate's socket */
};

static void candidate_deinit(struct scan_candidate *candidate)
{
	closep(&candidate->fd);
	process_close(&candidate->owner);
}

void scan_candidates_deinit(struct scan_candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		candidate_deinit(&candidates->items[i]);
	free(candidates->items);
	*candidates = (struct scan_candidates){.n = 0};
}

static void round_deinit(struct round *round)
{
	free(round->sockets);
	target_hits_deinit(&round->hits);
	openers_deinit(&round->openers);
	owners_deinit(&round->owners);
	scan_candidates_deinit(&round->candidates);
	free(round->sockets_of);
}

/* A change causes another round, unless this one is the last. */
static int changed(const struct round *round, struct refusal *refusal)
{
	if (!round->last)
		return ROUND_CHANGED;
	return refuse(refusal, EAGAIN,
		"changed hands each of the %d times it was examined (EAGAIN); the next scan may succeed",
		ROUNDS_MAX);
}

static int nobody(const struct round *round, const struct diag_socket *socket, struct refusal *refusal)
{
	/* it may have been closed since, or passed to a process that had been examined already */
	if (!round->number)
		return ROUND_CHANGED;
	if (socket->inode && round->openers.n_unreadable)
		return refuse(refusal, EACCES,
			"is open in a process whose descriptors cannot be listed, one of %zu (EACCES); run as root with CAP_SYS_PTRACE, or in usher-discover.service",
			round->openers.n_unreadable);
	return refuse(refusal, ESRCH,
		"is open in no process that is visible here (ESRCH): it belongs to the kernel or another pid namespace, or is in transit in a message; the process that has it must hand it in");
}

static int compare_socket(const void *socket, const void *holder)
{
	size_t x = *(const size_t *)socket, y = ((const struct opener *)holder)->socket;

	return (x > y) - (x < y);
}

static const struct opener *openers_of(const struct round *round, size_t socket, size_t *ret_n)
{
	const struct opener *items = round->openers.items;
	size_t low = array_lower_bound(&socket, items, round->openers.n, sizeof(*items), compare_socket),
	       n = 0;

	while (low + n < round->openers.n && items[low + n].socket == socket)
		n++;
	*ret_n = n;
	return n ? items + low : NULL;
}

/* Return: 0, REFUSED, ROUND_CHANGED, or -ENOMEM. */
static int weigh(struct round *round, const struct target_hit *hit, const struct process **ret_owner,
	struct refusal *refusal)
{
	const struct diag_socket *socket = &round->sockets[hit->socket];
	const uint8_t *address;
	size_t n;
	const struct opener *openers = openers_of(round, hit->socket, &n);
	int family = diag_address(socket, &address), r;

	*ret_owner = NULL;
	r = owner_choose(&round->owners, hit->rule, socket, openers, n, ret_owner, refusal);
	if (r == OWNER_NONE)
		return nobody(round, socket, refusal);
	if (!r && socket->mptcp)
		return fetch_refuse_mptcp(refusal);
	if (!r && !target_is_served(hit->rule, socket))
		return refuse(refusal, EPROTONOSUPPORT,
			"takes only %s, for which the rule '%s' has no match (EPROTONOSUPPORT); add one with %s= to %s, or remove the socket from Socket=",
			family_name(family), hit->rule->name, rule_match_key(socket->protocol),
			hit->rule->path);
	if (!r)
		r = access_check_bound(hit->rule, family, address, socket->port, refusal);
	return r ? r : device_refuse_in_vrf(socket->interface, refusal);
}

/* Return: 0, ROUND_CHANGED, ROUND_UNSETTLED, or -ENOMEM. */
static int append_candidate(struct round *round, const struct target_hit *hit)
{
	struct scan_candidates *candidates = &round->candidates;
	struct scan_candidate candidate = {
		.rule = hit->rule, .socket = round->sockets[hit->socket], .owner = PROCESS_NULL, .fd = -1};
	const struct process *owner;
	int r = weigh(round, hit, &owner, &candidate.refusal);

	if (r && round->pid)
		return r < 0 ? r : ROUND_UNSETTLED;
	if (r < 0 || r == ROUND_CHANGED)
		return r;
	candidate.accepted = !r;
	if (r == REFUSED && round->n_refused++ >= SCAN_REFUSED_MAX) {
		candidates->n_left_out++;
		return 0;
	}
	if (ARRAY_RESERVE(candidates->items, candidates->n) < 0 ||
		ARRAY_RESERVE(round->sockets_of, candidates->n) < 0 ||
		(owner && process_copy(owner, &candidate.owner) < 0))
		return -ENOMEM;
	round->sockets_of[candidates->n] = hit->socket;
	candidates->items[candidates->n++] = candidate;
	return 0;
}

static int refuse_untold(struct refusal *refusal)
{
	const struct refusal reason = *refusal;

	return refuse(refusal, reason.error, "has an owner that cannot be determined: %s", reason.text);
}

/*
 * Take the socket. Since the process was examined, its pid, its program and its descriptors may have changed: check
 * it all again, with a pidfd of the process open.
 *
 * Return: 0, REFUSED, ROUND_CHANGED, or -ENOMEM.
 */
static int fetch(const struct round *round, struct scan_candidate *candidate, size_t socket)
{
	_cleanup_(process_close) struct process process = PROCESS_NULL;
	struct refusal *refusal = &candidate->refusal;
	size_t n;
	const struct opener *openers = openers_of(round, socket, &n);
	int r = process_open(candidate->owner.pid, &process, refusal);

	if (r == PROCESS_GONE)
		return changed(round, refusal);
	if (r == REFUSED)
		return refuse_untold(refusal);
	if (!r)
		r = owner_check(&round->owners, candidate->rule, &candidate->socket, &process, refusal);
	if (r)
		return r;
	r = FETCH_CHANGED;
	for (size_t i = 0; i < n && r == FETCH_CHANGED; i++)
		if (openers[i].pid == process.pid)
			r = fetch_dup(&process, openers[i].fd, &candidate->socket, round->scan->netns_cookie,
				&candidate->fd, refusal);
	if (r == FETCH_CHANGED)
		return changed(round, refusal);
	if (r)
		return r;
	process_close(&candidate->owner);
	candidate->owner = process;
	process = PROCESS_NULL;
	return 0;
}

static bool has_reuseport(int fd)
{
	socklen_t size = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &size) == 0 && value;
}

/*
 * Take the sockets of a group, one by one.
 * @candidates: of one rule, protocol and family; those still accepted are bound alike
 */
static int fetch_group(struct round *round, struct scan_candidate *candidates, size_t n)
{
	const size_t *sockets_of = &round->sockets_of[candidates - round->candidates.items];
	size_t n_accepted = 0, n_fetched = 0;
	bool reuseport = true;

	for (size_t i = 0; i < n; i++)
		n_accepted += candidates[i].accepted;
	for (size_t i = 0; i < n; i++) {
		int r = candidates[i].accepted ? fetch(round, &candidates[i], sockets_of[i]) : REFUSED;

		if (r < 0 || r == ROUND_CHANGED)
			return r;
		if (r == REFUSED) {
			group_refuse_candidate(&candidates[i]);
			continue;
		}
		reuseport &= has_reuseport(candidates[i].fd);
		if (++n_fetched <= SCAN_GROUP_MAX)
			continue;
		(void)refuse(&candidates[i].refusal, E2BIG,
			"is not needed: %u other sockets of its SO_REUSEPORT group are handed in (E2BIG), and the kernel spreads over the whole group",
			SCAN_GROUP_MAX);
		group_refuse_candidate(&candidates[i]);
	}
	if (n_accepted > 1 && !reuseport)
		group_refuse_all(candidates, n);
	return 0;
}

static bool is_same(const struct scan_candidate *a, const struct scan_candidate *b, bool family)
{
	return a->rule == b->rule && a->socket.protocol == b->socket.protocol &&
	       (!family || a->socket.family == b->socket.family);
}

/* How many candidates from here on have the same rule and protocol, and the same family if @family. */
static size_t run_length(const struct scan_candidates *candidates, size_t from, bool family)
{
	size_t n = 1;

	while (from + n < candidates->n &&
		is_same(&candidates->items[from], &candidates->items[from + n], family))
		n++;
	return n;
}

static int settle(struct round *round)
{
	struct scan_candidates *candidates = &round->candidates;
	size_t n;

	for (size_t i = 0; i < candidates->n; i += n) {
		n = run_length(candidates, i, false);
		group_check_bound(&candidates->items[i], n);
	}
	for (size_t i = 0; i < candidates->n; i += n) {
		int r;

		n = run_length(candidates, i, true);
		r = fetch_group(round, &candidates->items[i], n);
		if (r)
			return r;
	}
	for (size_t i = 0; round->pid && i < candidates->n; i++)
		if (!candidates->items[i].accepted)
			return ROUND_UNSETTLED;
	return 0;
}

/* Return: 0, ROUND_CHANGED, ROUND_UNSETTLED, or a negative errno. */
static int judge(struct round *round, pid_t pid)
{
	const struct scan *scan = round->scan;
	int r;

	openers_deinit(&round->openers);
	owners_deinit(&round->owners);
	scan_candidates_deinit(&round->candidates);
	round->owners = (struct owners){
		.access = scan->access, .broker = scan->broker, .kin = scan->kin, .n_kin = scan->n_kin};
	round->pid = pid;
	r = openers_find(round->sockets, round->n_sockets, pid, &round->openers);
	for (size_t i = 0; !r && i < round->hits.n; i++) {
		const struct target_hit *hit = &round->hits.items[i];

		if (!i || hit->rule != hit[-1].rule)
			round->n_refused = 0;
		r = append_candidate(round, hit);
	}
	return r ? r : settle(round);
}

static int list_sockets(struct round *round, const struct targets *targets, struct refusal *refusal)
{
	_cleanup_free_ uint16_t *ports = calloc(targets->n + 1, sizeof(*ports));
	size_t n = 0;
	int r;

	if (!ports)
		return -ENOMEM;
	for (size_t i = 0; i < targets->n; i++)
		if (!i || targets->items[i].port != targets->items[i - 1].port)
			ports[n++] = targets->items[i].port;
	if (!n)
		return 0;
	r = diag_dump(round->scan->protocol, ports, n, &round->sockets, &round->n_sockets, refusal);
	return r ? r : targets_match(targets, round->sockets, &round->n_sockets, &round->hits);
}

int scan_run(const struct scan *scan, struct scan_candidates *ret, struct refusal *refusal)
{
	_cleanup_(targets_deinit) struct targets targets = {.n = 0};
	int r = targets_collect(scan, &targets);

	if (r < 0)
		return r;
	r = ROUND_CHANGED;
	for (unsigned i = 0; i < ROUNDS_MAX && r == ROUND_CHANGED; i++) {
		_cleanup_(round_deinit) struct round round = {
			.scan = scan, .number = i, .last = i + 1 == ROUNDS_MAX};

		r = list_sockets(&round, &targets, refusal);
		if (r)
			return r;
		r = scan->pid && !i ? judge(&round, scan->pid) : ROUND_UNSETTLED;
		if (r == ROUND_UNSETTLED)
			r = judge(&round, 0);
		if (r)
			continue;
		*ret = round.candidates;
		round.candidates = (struct scan_candidates){.n = 0};
	}
	return r;
}

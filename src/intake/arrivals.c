/* SPDX-License-Identifier: BSD-3-Clause */
#include "arrivals.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Most clients of a flood are gone when they are accepted: nothing is set up for these. */
static bool has_left(int fd)
{
	struct pollfd look = {.fd = fd};
	int n_bytes;

	return poll(&look, 1, 0) > 0 && look.revents & POLLHUP && ioctl(fd, SIOCINQ, &n_bytes) == 0 &&
	       !n_bytes;
}

static void identify(struct arrival *arrival, const struct subuids *subuids)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(arrival->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		arrival->has_left = true;
	else
		arrival->uid = peer.uid;
	arrival->owner = subuids_owner(subuids, arrival->uid);
	arrival->has_left = arrival->has_left || has_left(arrival->fd);
}

static void give_turn(const struct arrivals *arrivals, struct arrival *arrival)
{
	for (size_t i = 0; i < arrivals->n; i++)
		arrival->turn += arrivals->items[i].owner == arrival->owner;
}

static int compare(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

void arrivals_accept(int socket, const struct subuids *subuids, struct arrivals *ret)
{
	ret->n = 0;
	ret->error = 0;
	while (ret->n < ARRIVALS_MAX) {
		struct arrival arrival = {.fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)};

		if (arrival.fd < 0) {
			ret->error = errno;
			break;
		}
		identify(&arrival, subuids);
		give_turn(ret, &arrival);
		ret->items[ret->n++] = arrival;
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare);
}

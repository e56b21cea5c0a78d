/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>

#include "../util/macro.h"

static void set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

void backend_prepare(const struct settings *settings, int fd, int family)
{
	const unsigned keep_alive = settings->rule.relay.keep_alive.ms;
	const struct linger reset = {.l_onoff = 1};

	if (family == AF_UNIX)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (keep_alive) {
		set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)((keep_alive + 999) / 1000));
	}
}

void backend_allow_end(int fd)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){0}, sizeof(struct linger));
}

/* The client's port may be in use here; then its address alone has to do. */
static int bind_as(int fd, int family, const struct endpoint *client)
{
	struct sockaddr_storage address;
	const int one = 1;
	socklen_t size;

	if (client->family != family)
		return -EAFNOSUPPORT;
	if (setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		    family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT, &one, sizeof(one)) < 0)
		return -errno;
	size = endpoint_set(&address, family, client->address, client->port);
	if (bind(fd, (struct sockaddr *)&address, size) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	size = endpoint_set(&address, family, client->address, 0);
	return bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static bool is_passing(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EAGAIN;
}

int backend_connect(const struct settings *settings, size_t i, const struct endpoint *client, int *ret_fd)
{
	const struct settings_backend *backend = &settings->backends[i];
	const struct sockaddr *address = (const struct sockaddr *)&backend->address;
	int family = address->sa_family, r;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return is_passing(errno) ? BACKEND_LATER : -errno;
	backend_prepare(settings, fd, family);
	r = client ? bind_as(fd, family, client) : 0;
	if (r < 0)
		return r;
	if (connect(fd, address, backend->size) == 0)
		r = 0;
	else if (errno == EINPROGRESS)
		r = BACKEND_UNDERWAY;
	else
		return is_passing(errno) ? BACKEND_LATER : -errno;
	*ret_fd = TAKE_FD(fd);
	return r;
}

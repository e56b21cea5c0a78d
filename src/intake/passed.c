/* SPDX-License-Identifier: BSD-3-Clause */
#include "passed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "../util/macro.h"

/* Takes the name over. */
static void sort_in(struct passed *passed, int fd, char *name)
{
	if (passed->door < 0 && sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
		passed->door = fd;
	else if (passed->notify < 0 && sd_is_socket(fd, AF_UNIX, SOCK_DGRAM, 0) > 0)
		passed->notify = fd;
	else
		passed->sockets[passed->n_sockets++] =
			(struct passed_socket){.fd = fd, .name = TAKE_PTR(name)};
	free(name);
}

int passed_take(struct passed *ret)
{
	struct passed passed = PASSED_NULL;
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	if (n <= 0) {
		free(names);
		return n;
	}
	passed.sockets = calloc((size_t)n, sizeof(*passed.sockets));
	if (!passed.sockets)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		sort_in(&passed, SD_LISTEN_FDS_START + i, names[i]);
	free(names);
	*ret = passed;
	return 0;
}

void passed_deinit(struct passed *passed)
{
	closep(&passed->door);
	closep(&passed->notify);
	for (size_t i = 0; i < passed->n_sockets; i++) {
		closep(&passed->sockets[i].fd);
		free(passed->sockets[i].name);
	}
	free(passed->sockets);
	*passed = PASSED_NULL;
}

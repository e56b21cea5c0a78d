/* SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../util/name.h"
#include "../util/text.h"

#define PREFIX "held/"

size_t store_limit(void)
{
	const char *limit = getenv("FDSTORE");
	unsigned long number;

	if (!limit || !getenv("NOTIFY_SOCKET") || text_to_uint(limit, 1000000, &number) < 0)
		return 0;
	return number;
}

int store_put(const char *name, uint64_t cookie, int fd)
{
	char state[STORE_NAME_MAX + 64];
	int r;

	if (!store_limit())
		return 0;
	/* FDPOLL=0: the manager must not drop a listener that is shut down for a while */
	(void)snprintf(
		state, sizeof(state), "FDSTORE=1\nFDPOLL=0\nFDNAME=" PREFIX "%s/%" PRIx64, name, cookie);
	r = sd_pid_notify_with_fds(0, false, state, &fd, 1);
	return r < 0 ? r : 0;
}

void store_remove(const char *name, uint64_t cookie)
{
	if (store_limit())
		(void)sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=" PREFIX "%s/%" PRIx64, name, cookie);
}

int store_barrier(void)
{
	int ends[2], r;

	if (!store_limit() || pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	r = sd_pid_notify_with_fds(0, false, "BARRIER=1", &ends[1], 1);
	(void)close(ends[1]);
	if (r > 0)
		return ends[0];
	(void)close(ends[0]);
	return -1;
}

bool store_parse_name(const char *text, char *ret_name, uint64_t *ret_cookie)
{
	const char *slash;
	uint64_t cookie;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
		return false;
	text += strlen(PREFIX);
	slash = strchr(text, '/');
	if (!slash || slash - text > NAME_LENGTH_MAX || text_to_cookie(slash + 1, &cookie) < 0)
		return false;
	(void)snprintf(ret_name, NAME_LENGTH_MAX + 1, "%.*s", (int)(slash - text), text);
	*ret_cookie = cookie;
	return name_is_valid(ret_name);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the programs of usher-discover cost others: nanoseconds for a connection, for listen(2), for a UDP bind(2)
 *
 * Each round of a row is a pair, without the programs and with them, of REPEAT times each. It measures the CPU time of
 * everything on the loopback: both ends of a connection, from socket(2) to close(2).
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bpf/sandbox.h"
#include "hooks/hooks.h"
#include "samples.h"
#include "util/macro.h"
#include "util/netns.h"

#define ROUNDS 51
#define REPEAT 2000
#define READ_EVERY 1000 /* the ring buffer has room for more */
#define PORT 8080

static char cgroup[256];
static bool quick;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ignore(const struct usher_listen *listen, void *userdata)
{
	(void)listen;
	(void)userdata;
}

static struct hooks *attach(bool wanted)
{
	struct usher_wanted ports[] = {
		{.protocol = IPPROTO_TCP, .port = PORT}, {.protocol = IPPROTO_UDP, .port = PORT}};
	struct hooks_manner manner = {.cgroup = cgroup, .function = ignore};
	struct refusal refusal;
	struct hooks *hooks;

	if (netns_read_cookie(&manner.netns_cookie, &refusal) || hooks_new(&manner, &hooks, &refusal) ||
		hooks_want(hooks, ports, wanted ? 2 : 0)) {
		fprintf(stderr, "%s\n", refusal.text);
		exit(1);
	}
	return hooks;
}

static int bind_socket(int type)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	return fd;
}

static void do_listen(int listener)
{
	int fd = bind_socket(SOCK_STREAM);

	(void)listener;
	if (listen(fd, 1) < 0)
		die("listen");
	(void)close(fd);
}

static void do_bind(int listener)
{
	(void)listener;
	(void)close(bind_socket(SOCK_DGRAM));
}

/* It ends with a reset, because ports in TIME-WAIT would run out. */
static void do_connect(int listener)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	struct linger linger = {.l_onoff = 1};
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (peer < 0)
		die("accept");
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
	(void)close(peer);
}

static double run(void (*function)(int listener), int listener, struct hooks *hooks)
{
	int repeat = quick ? 20 : REPEAT;
	struct timespec begin, end;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (int i = 1; i <= repeat; i++) {
		if (hooks) { /* each is reported, not only the first one */
			hooks_want_again(hooks, IPPROTO_TCP, PORT);
			hooks_want_again(hooks, IPPROTO_UDP, PORT);
		}
		function(listener);
		if (hooks && i % READ_EVERY == 0)
			hooks_read(hooks);
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	if (hooks && hooks_lost(hooks))
		die("events were lost");
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / repeat;
}

static void measure(const char *what, void (*function)(int listener), int listener, bool wanted)
{
	struct samples samples[] = {
		{.table = "hooks", .row = what, .column = "without", .unit = "ns", .n = quick ? 2 : ROUNDS},
		{.table = "hooks",
			.row = what,
			.column = "with",
			.unit = "ns",
			.baseline = "without",
			.n = quick ? 2 : ROUNDS},
	};

	for (unsigned round = 0; round < samples[0].n; round++)
		for (unsigned i = 0; i < 2; i++) {
			bool with = i ^ (round & 1);
			struct hooks *hooks = with ? attach(wanted) : NULL;

			samples[with].values[round] = run(function, listener, hooks);
			if (hooks)
				(void)hooks_free(hooks);
		}
	samples_print(&samples[0]);
	samples_print(&samples[1]);
}

static int all(void)
{
	_cleanup_close_ int processes = -1;
	char file[300];
	int listener;

	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", sandbox_cgroup(NULL, cgroup));
	processes = open(file, O_WRONLY | O_CLOEXEC);
	if (processes < 0 || write(processes, "0", 1) != 1)
		die(file);
	listener = bind_socket(SOCK_STREAM); /* a socket stays in the cgroup in which it was created */
	if (listen(listener, 1) < 0)
		die("listen");
	measure("TCP connection, both ends", do_connect, listener, false);
	(void)close(listener);
	measure("TCP listen, port not wanted", do_listen, -1, false);
	measure("TCP listen, event", do_listen, -1, true);
	measure("UDP bind, port not wanted", do_bind, -1, false);
	measure("UDP bind, event", do_bind, -1, true);
	return 0;
}

int main(int argc, char **argv)
{
	quick = samples_quick(argc, argv);
	return sandbox_main(all);
}

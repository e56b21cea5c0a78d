/* SPDX-License-Identifier: BSD-3-Clause */
#include "nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../util/macro.h"
#include "clerk_process.h"
#include "sandbox.h"
#include "work.h"
#include "worker.h"

/* More than a packet can carry, so that recvmsg(2) drops none. */
#define DESCRIPTORS 1024U

#define GRACE_SECONDS 1U

#define CHANNEL 3 /* after standard input, output and errors */

/* Signals are for the broker alone: it still has to answer when the service manager sends SIGTERM to all. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	/* nobody waits for a worker: the broker has its pidfd */
	(void)signal(SIGCHLD, SIG_IGN);
}

static void limit_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max > DESCRIPTORS)
		limit.rlim_max = DESCRIPTORS;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* The broker has ended. What it asked for last is done. A worker that takes longer is killed by the end of this process. */
static _Noreturn void end_workers(void)
{
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(GRACE_SECONDS);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
	_exit(0);
}

static _Noreturn void become_worker(int channel, const int *maps)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "usherd-worker");
	if (sandbox_enter() < 0)
		_exit(1);
	worker_run(channel, maps);
}

static void make_worker(int nursery, int channel_consume, const int *maps)
{
	_cleanup_close_ int channel = channel_consume, pidfd = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(nursery);
		become_worker(channel, maps);
	}
	if (pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		(void)packet_send(nursery, NURSERY_WORKER, strlen(NURSERY_WORKER), &pidfd, 1);
	else
		(void)packet_send(nursery, NURSERY_FAILED, strlen(NURSERY_FAILED), NULL, 0);
}

static void make_clerk(int nursery, int channel_consume)
{
	_cleanup_close_ int channel = channel_consume;

	if (fork() == 0) {
		(void)close(nursery);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "usherd-clerk");
		clerk_run(channel);
	}
}

/* What the service manager passed to the broker, among it sockets of strangers, is not to be held here as well. */
static int close_inherited(int channel)
{
	if (channel != CHANNEL && dup3(channel, CHANNEL, O_CLOEXEC) < 0)
		_exit(1);
	(void)syscall(SYS_close_range, CHANNEL + 1U, ~0U, 0);
	return CHANNEL;
}

static _Noreturn void run_nursery(int channel_given)
{
	const int channel = close_inherited(channel_given);
	int maps[WORK_MAPS] = {-1, -1};

	(void)prctl(PR_SET_NAME, "usherd-nursery");
	ignore_signals();
	limit_descriptors();
	for (;;) {
		_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
		struct refusal refusal;
		int r = packet_receive(channel, &packet, &refusal);

		if (r != 0 && r != PACKET_AGAIN)
			end_workers();
		if (!strcmp(packet.text, NURSERY_MAPS) && packet.n_fds == WORK_MAPS)
			for (size_t i = 0; i < WORK_MAPS; i++)
				maps[i] = TAKE_FD(packet.fds[i]);
		else if (!strcmp(packet.text, NURSERY_WORKER) && packet.n_fds == 1)
			make_worker(channel, TAKE_FD(packet.fds[0]), maps);
		else if (!strcmp(packet.text, NURSERY_CLERK) && packet.n_fds == 1)
			make_clerk(channel, TAKE_FD(packet.fds[0]));
	}
}

int nursery_start(int *ret_channel, pid_t *ret_pid)
{
	int channel[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)close(channel[0]);
		run_nursery(channel[1]);
	}
	r = pid < 0 || fcntl(channel[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	(void)close(channel[1]);
	if (r < 0) {
		(void)close(channel[0]);
		return r;
	}
	*ret_channel = channel[0];
	*ret_pid = pid;
	return 0;
}

void nursery_wait(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0)
		(void)poll(&ended, 1, NURSERY_END_MS);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "scanner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "scanner_process.h"

#define CHECK_USEC 1000000U
#define RECORDS_PER_TURN 64U

/* A process that has not been reaped. */
struct child {
	struct scanner *scanner;
	pid_t pid;
	int pidfd;
	sd_event_source *exit;
};

struct scanner {
	struct scanner_manner manner;
	struct child children[SCANNERS_MAX]; /* pid 0: free */
	struct child *current;		     /* who is asked; NULL: nobody yet */
	int socket;			     /* to it */
	sd_event_source *io;
	sd_event_source *check;	  /* on while a scan is under way */
	sd_event_source *failure; /* ends a scan that could not begin */
	bool is_busy;
	unsigned n_checks, n_still; /* checks of this scan, and the last ones without progress */
	uint64_t cpu;		    /* of the current process, at the last check */
	unsigned n_killed;
	bool told_full;
};

/* ---- the end of processes */

static void end_scan(struct scanner *scanner, const struct scanner_record *end)
{
	scanner->is_busy = false;
	(void)sd_event_source_set_enabled(scanner->check, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(scanner->failure, SD_EVENT_OFF);
	scanner->manner.end(end, scanner->manner.userdata);
}

static void hang_up(struct scanner *scanner)
{
	scanner->io = sd_event_source_disable_unref(scanner->io);
	closep(&scanner->socket);
	scanner->socket = -1;
	scanner->current = NULL;
}

static void kill_current(struct scanner *scanner)
{
	if (scanner->current)
		(void)syscall(SYS_pidfd_send_signal, scanner->current->pidfd, SIGKILL, NULL, 0);
	hang_up(scanner);
}

/* The scan under way comes to nothing. */
static void abandon(struct scanner *scanner)
{
	const struct scanner_record end = {.kind = SCANNER_END, .is_unfinished = true};

	kill_current(scanner);
	if (scanner->is_busy)
		end_scan(scanner, &end);
}

static void child_deinit(struct child *child)
{
	sd_event_source_disable_unref(child->exit);
	closep(&child->pidfd);
	*child = (struct child){.pidfd = -1};
}

static int on_exit_of_child(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct child *child = userdata;
	struct scanner *scanner = child->scanner;
	bool is_current = child == scanner->current;

	(void)source;
	(void)fd;
	(void)events;
	if (waitpid(child->pid, NULL, WNOHANG) == 0)
		return 0;
	child_deinit(child);
	scanner->told_full = false;
	if (is_current)
		abandon(scanner);
	return 0;
}

static unsigned count_children(const struct scanner *scanner)
{
	unsigned n = 0;

	for (size_t i = 0; i < SCANNERS_MAX; i++)
		n += scanner->children[i].pid != 0;
	return n;
}

/* ---- progress */

static uint64_t read_cpu(pid_t pid)
{
	struct timespec time = {0};
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0)
		(void)clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static int on_check(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct scanner *scanner = userdata;
	uint64_t cpu = scanner->current ? read_cpu(scanner->current->pid) : 0;

	(void)usec;
	scanner->n_still = cpu == scanner->cpu ? scanner->n_still + 1 : 0;
	scanner->cpu = cpu;
	scanner->n_checks++;
	if (scanner->n_still < SCANNER_STILL_SECONDS && scanner->n_checks < SCANNER_MAX_SECONDS) {
		(void)sd_event_source_set_time_relative(source, CHECK_USEC);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	scanner->n_killed++;
	observe(OBSERVE_FAILED, NULL,
		"a scan was given up after %u s, because its process is held by a file or a socket of another process; it is killed, and another process scans (killed so far: %u)",
		scanner->n_checks, scanner->n_killed);
	abandon(scanner);
	return 0;
}

/* ---- records */

/* Return: false when there is nothing to read, or nobody to read from. */
static bool receive_record(struct scanner *scanner)
{
	struct scanner_record record;
	ssize_t size = recv(scanner->socket, &record, sizeof(record), MSG_TRUNC);

	if (size < 0)
		return false;
	if (!size || !scanner_record_check(&record, (size_t)size)) {
		abandon(scanner);
		return false;
	}
	scanner->n_still = 0;
	switch (record.kind) {
	case SCANNER_COMPLAINT:
		scanner->manner.complain(&record.complaint, scanner->manner.userdata);
		return true;
	case SCANNER_FAILURE:
		scanner->manner.fail(record.complaint.text, scanner->manner.userdata);
		return true;
	}
	if (scanner->is_busy)
		end_scan(scanner, &record);
	return false;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct scanner *scanner = userdata;

	(void)source;
	(void)fd;
	(void)events;
	for (unsigned i = 0; i < RECORDS_PER_TURN && receive_record(scanner); i++)
		continue;
	return 0;
}

/* ---- the beginning of processes */

/* In the child: nothing of the event loop is touched. */
static void become_child(const struct scanner *scanner, int socket, pid_t parent)
{
	const struct scanner_process process = {
		.socket = socket,
		.first_fd = scanner->manner.first_fd,
		.parent = parent,
		.set = scanner->manner.set,
		.broker = scanner->manner.broker,
		.netns_cookie = scanner->manner.netns_cookie,
	};

	scanner_process_run(&process);
}

static struct child *find_free_child(struct scanner *scanner)
{
	for (size_t i = 0; i < SCANNERS_MAX; i++)
		if (!scanner->children[i].pid)
			return &scanner->children[i];
	return NULL;
}

static int follow(struct scanner *scanner, struct child *child)
{
	int r;

	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	r = child->pidfd < 0 ? -errno
			     : sd_event_add_io(scanner->manner.event, &child->exit, child->pidfd, EPOLLIN,
				       on_exit_of_child, child);
	if (r >= 0)
		return 0;
	/* it has asked nobody for anything yet, and so ends at once */
	(void)kill(child->pid, SIGKILL);
	(void)waitpid(child->pid, NULL, 0);
	child_deinit(child);
	return r;
}

static int make_process(struct scanner *scanner)
{
	struct child *child = find_free_child(scanner);
	pid_t parent = getpid();
	int sockets[2], r;

	if (!child)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	*child = (struct child){.scanner = scanner, .pidfd = -1, .pid = fork()};
	if (!child->pid)
		become_child(scanner, sockets[1], parent);
	r = child->pid < 0 ? -errno : 0;
	closep(&sockets[1]);
	scanner->socket = sockets[0];
	if (r < 0)
		*child = (struct child){.pidfd = -1};
	else
		r = follow(scanner, child);
	if (!r && fcntl(scanner->socket, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (!r)
		r = sd_event_add_io(
			scanner->manner.event, &scanner->io, scanner->socket, EPOLLIN, on_readable, scanner);
	if (r < 0) {
		hang_up(scanner); /* which ends the child */
		return r;
	}
	scanner->current = child;
	return 0;
}

static int on_failure(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	abandon(userdata);
	return 0;
}

static int ask(struct scanner *scanner, const struct agenda *agenda)
{
	struct scanner_request request = {.agenda = *agenda, .kin = {getpid()}, .n_kin = 1};
	int r = scanner->current ? 0 : make_process(scanner);

	if (r < 0)
		return r;
	for (size_t i = 0; i < SCANNERS_MAX; i++)
		if (scanner->children[i].pid)
			request.kin[request.n_kin++] = scanner->children[i].pid;
	return send(scanner->socket, &request, sizeof(request), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void complain_start(struct scanner *scanner, int error)
{
	if (scanner->told_full)
		return;
	scanner->told_full = true;
	if (error == EAGAIN && count_children(scanner) == SCANNERS_MAX)
		observe(OBSERVE_FAILED, NULL,
			"%u processes that scanned were killed and cannot end, because files or sockets of other processes hold them; nothing is found until one has ended",
			SCANNERS_MAX);
	else
		observe(OBSERVE_FAILED, NULL, "cannot start a process that scans (%s); it is tried again",
			errno_name(error));
}

void scanner_start(struct scanner *scanner, const struct agenda *agenda)
{
	int r = ask(scanner, agenda);

	scanner->is_busy = true;
	if (r < 0) {
		complain_start(scanner, -r);
		(void)sd_event_source_set_time_relative(scanner->failure, 0);
		(void)sd_event_source_set_enabled(scanner->failure, SD_EVENT_ONESHOT);
		return;
	}
	scanner->n_checks = scanner->n_still = 0;
	scanner->cpu = read_cpu(scanner->current->pid);
	(void)sd_event_source_set_time_relative(scanner->check, CHECK_USEC);
	(void)sd_event_source_set_enabled(scanner->check, SD_EVENT_ONESHOT);
}

bool scanner_is_busy(const struct scanner *scanner)
{
	return scanner->is_busy;
}

void scanner_renew(struct scanner *scanner)
{
	abandon(scanner);
}

static int add_timer(struct scanner *scanner, sd_event_source **ret, sd_event_time_handler_t function)
{
	int r = sd_event_add_time(scanner->manner.event, ret, CLOCK_MONOTONIC, 0, 0, function, scanner);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int scanner_new(const struct scanner_manner *manner, struct scanner **ret)
{
	_cleanup_(scanner_freep) struct scanner *scanner = calloc(1, sizeof(*scanner));
	int r;

	if (!scanner)
		return -ENOMEM;
	scanner->manner = *manner;
	scanner->socket = -1;
	for (size_t i = 0; i < SCANNERS_MAX; i++)
		scanner->children[i].pidfd = -1;
	r = add_timer(scanner, &scanner->check, on_check);
	if (r >= 0)
		r = add_timer(scanner, &scanner->failure, on_failure);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(scanner);
	return 0;
}

struct scanner *scanner_free(struct scanner *scanner)
{
	if (!scanner)
		return NULL;
	kill_current(scanner);
	for (size_t i = 0; i < SCANNERS_MAX; i++)
		child_deinit(&scanner->children[i]);
	sd_event_source_disable_unref(scanner->check);
	sd_event_source_disable_unref(scanner->failure);
	free(scanner);
	return NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "registrant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/syscall.h>

#include "../util/macro.h"

#define REGISTRANT_BUCKETS 1024U

struct registrant {
	struct registrants *owner;
	LIST_ENTRY(registrant) entry;
	pid_t pid;
	uid_t uid;
	int pidfd;
	sd_event_source *source;
};

struct registrants {
	sd_event *event; /* borrowed */
	LIST_HEAD(, registrant) by_pid[REGISTRANT_BUCKETS];
	void (*on_exit)(pid_t pid, void *userdata);
	void *userdata;
};

struct registrants *registrants_new(
	sd_event *event, void (*on_exit)(pid_t pid, void *userdata), void *userdata)
{
	struct registrants *registrants = calloc(1, sizeof(*registrants));

	if (registrants)
		*registrants = (struct registrants){.event = event, .on_exit = on_exit, .userdata = userdata};
	return registrants;
}

static void unwatch(struct registrant *registrant)
{
	LIST_REMOVE(registrant, entry);
	sd_event_source_disable_unref(registrant->source);
	closep(&registrant->pidfd);
	free(registrant);
}

struct registrants *registrants_free(struct registrants *registrants)
{
	if (!registrants)
		return NULL;
	for (size_t i = 0; i < REGISTRANT_BUCKETS; i++)
		while (!LIST_EMPTY(&registrants->by_pid[i]))
			unwatch(LIST_FIRST(&registrants->by_pid[i]));
	free(registrants);
	return NULL;
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct registrant *registrant = userdata;
	struct registrants *owner = registrant->owner;
	pid_t pid = registrant->pid;

	(void)source;
	(void)fd;
	(void)revents;
	unwatch(registrant);
	owner->on_exit(pid, owner->userdata);
	return 0;
}

static int watch_consume(struct registrants *registrants, pid_t pid, uid_t uid, int pidfd)
{
	struct registrant *registrant = calloc(1, sizeof(*registrant));
	int r;

	if (!registrant) {
		(void)close(pidfd);
		return -ENOMEM;
	}
	*registrant = (struct registrant){.owner = registrants, .pid = pid, .uid = uid, .pidfd = pidfd};
	LIST_INSERT_HEAD(&registrants->by_pid[(unsigned)pid % REGISTRANT_BUCKETS], registrant, entry);
	r = sd_event_add_io(registrants->event, &registrant->source, pidfd, EPOLLIN, on_pidfd, registrant);
	/* a process that has ended is known of before its successor hands in */
	if (r >= 0)
		r = sd_event_source_set_priority(registrant->source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		unwatch(registrant);
	return r < 0 ? r : 0;
}

bool registrants_is_watched(const struct registrants *registrants, pid_t pid)
{
	const struct registrant *registrant;

	LIST_FOREACH(registrant, &registrants->by_pid[(unsigned)pid % REGISTRANT_BUCKETS], entry)
	if (registrant->pid == pid)
		return true;
	return false;
}

static bool is_quota_full(const struct registrants *registrants, uid_t uid)
{
	const struct registrant *registrant;
	unsigned n = 0;

	for (size_t i = 0; uid && i < REGISTRANT_BUCKETS; i++)
		LIST_FOREACH(registrant, &registrants->by_pid[i], entry)
	n += registrant->uid == uid;
	return n >= REGISTRANTS_PER_UID;
}

int registrants_watch_dup(struct registrants *registrants, pid_t pid, uid_t uid, int pidfd)
{
	int own;

	if (registrants_is_watched(registrants, pid) || is_quota_full(registrants, uid))
		return 0;
	own = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : watch_consume(registrants, pid, uid, own);
}

int registrants_watch_pid(struct registrants *registrants, pid_t pid, uid_t uid)
{
	int pidfd;

	if (pid <= 0 || registrants_is_watched(registrants, pid) || is_quota_full(registrants, uid))
		return 0;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	return watch_consume(registrants, pid, uid, pidfd);
}

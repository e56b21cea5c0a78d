/* SPDX-License-Identifier: BSD-3-Clause */
#include "registrant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "../util/macro.h"

struct registrant {
	struct registrants *owner;
	struct registrant *next;
	pid_t pid;
	uid_t uid;
	int pidfd;
	sd_event_source *source;
};

struct registrants {
	sd_event *event; /* borrowed */
	struct registrant *first;
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
	struct registrant **at = &registrant->owner->first;

	while (*at && *at != registrant)
		at = &(*at)->next;
	if (*at)
		*at = registrant->next;
	sd_event_source_disable_unref(registrant->source);
	closep(&registrant->pidfd);
	free(registrant);
}

struct registrants *registrants_free(struct registrants *registrants)
{
	if (!registrants)
		return NULL;
	while (registrants->first)
		unwatch(registrants->first);
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
	*registrant = (struct registrant){
		.owner = registrants, .next = registrants->first, .pid = pid, .uid = uid, .pidfd = pidfd};
	registrants->first = registrant;
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
	const struct registrant *registrant = registrants->first;

	while (registrant && registrant->pid != pid)
		registrant = registrant->next;
	return registrant != NULL;
}

static bool is_quota_full(const struct registrants *registrants, uid_t uid)
{
	unsigned n = 0;

	for (const struct registrant *registrant = registrants->first; registrant;
		registrant = registrant->next)
		n += registrant->uid == uid;
	return uid && n >= REGISTRANTS_PER_UID;
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

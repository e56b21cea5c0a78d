/* SPDX-License-Identifier: BSD-3-Clause */
#include "closer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../util/macro.h"

/* What a thread closes. In the list until it has. */
struct job {
	struct job *next;
	uid_t uid;
	size_t n_fds;
	int fds[PACKET_FDS_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct job *jobs; /* under the lock, as `n_jobs`; the main thread alone adds to them */
static unsigned n_jobs;

/* Whether close(2) of this cannot wait: a socket that does not linger. */
static bool is_quick(int fd)
{
	struct linger linger;
	socklen_t size = sizeof(linger);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && !linger.l_onoff;
}

static void *run(void *userdata)
{
	struct job *job = userdata, **at = &jobs;

	for (size_t i = 0; i < job->n_fds; i++)
		(void)close(job->fds[i]);
	(void)pthread_mutex_lock(&lock);
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	n_jobs--;
	(void)pthread_cond_signal(&done);
	(void)pthread_mutex_unlock(&lock);
	free(job);
	return NULL;
}

static bool is_listed(const struct job *job)
{
	const struct job *other = jobs;

	while (other && other != job)
		other = other->next;
	return other != NULL;
}

/* As good as always it is done at once. */
static void wait_for(const struct job *job)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += CLOSER_PATIENCE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (is_listed(job) && pthread_cond_timedwait(&done, &lock, &until) != ETIMEDOUT)
		continue;
}

static int start(struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attributes);
	if (r)
		return r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_mutex_lock(&lock);
	job->next = jobs;
	jobs = job;
	n_jobs++;
	r = pthread_create(&thread, &attributes, run, job);
	if (r) {
		jobs = job->next;
		n_jobs--;
	} else {
		wait_for(job);
	}
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_attr_destroy(&attributes);
	return r;
}

void closer_close(struct packet *packet, uid_t uid)
{
	_cleanup_free_ struct job *job = NULL;

	for (size_t i = 0; i < packet->n_fds; i++) {
		if (packet->fds[i] < 0 || is_quick(packet->fds[i]))
			continue;
		if (!job)
			job = calloc(1, sizeof(*job));
		if (job)
			job->fds[job->n_fds++] = packet->fds[i];
	}
	if (job) {
		job->uid = uid;
		/* the thread has them; what is left, or could not be given away, is closed here */
		for (size_t i = 0, k = 0; i < packet->n_fds && k < job->n_fds; i++)
			if (packet->fds[i] == job->fds[k]) {
				packet->fds[i] = -1;
				k++;
			}
		if (start(job) == 0)
			job = NULL;
		for (size_t k = 0; job && k < job->n_fds; k++)
			(void)close(job->fds[k]);
	}
	packet_deinit(packet);
}

bool closer_is_stuck(uid_t uid)
{
	unsigned n = 0;

	(void)pthread_mutex_lock(&lock);
	for (const struct job *job = jobs; job; job = job->next)
		n += job->uid == uid;
	(void)pthread_mutex_unlock(&lock);
	return n >= CLOSER_STUCK_MAX;
}

bool closer_skip(int socket)
{
	struct ucred sender;
	bool any;

	(void)pthread_mutex_lock(&lock);
	any = n_jobs >= CLOSER_STUCK_MAX;
	(void)pthread_mutex_unlock(&lock);
	if (!any || packet_peek(socket, &sender) || !closer_is_stuck(sender.uid))
		return false;
	packet_skip(socket);
	return true;
}

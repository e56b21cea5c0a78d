/* SPDX-License-Identifier: BSD-3-Clause */
#include "closer.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "../util/macro.h"

/* Descriptors that a thread closes; in the list until it has closed them all */
struct job {
	struct job *next;
	uid_t uid;
	size_t n_fds;
	int fds[PACKET_FDS_MAX + 1]; /* of a packet, and the socket that it came from */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct job *jobs; /* under the lock, like `n_jobs`; only the main thread adds to them */
static unsigned n_jobs;

static int get_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

/*
 * Whether close(2) of this cannot block: UDP, and TCP that listens. Asking a TCP connection for SO_LINGER is not
 * enough: the sender can set it at any time before the close. A UNIX socket may have such a connection in its queue.
 */
static bool is_quick(int fd)
{
	int family = get_option(fd, SO_DOMAIN), protocol = get_option(fd, SO_PROTOCOL);

	if (family != AF_INET && family != AF_INET6)
		return false;
	return protocol == IPPROTO_UDP || (protocol == IPPROTO_TCP && get_option(fd, SO_ACCEPTCONN) == 1);
}

static void on_alarm(int number)
{
	(void)number;
}

/*
 * While this is on, signals end every wait for SO_LINGER after a moment (sk_stream_wait_close() in net/core/stream.c).
 * They do not end a wait for a file system; only close(2) of a descriptor that has been received can wait for one.
 */
static void be_impatient(bool impatient)
{
	const struct sigaction action = {.sa_handler = impatient ? on_alarm : SIG_DFL};
	struct itimerval often = {0};

	if (impatient)
		often.it_interval.tv_usec = often.it_value.tv_usec = CLOSER_MOMENT_USEC;
	else
		(void)setitimer(ITIMER_REAL, &often, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
	if (impatient)
		(void)setitimer(ITIMER_REAL, &often, NULL);
}

static void *run_closer(void *userdata)
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

static bool is_in_list(const struct job *job)
{
	const struct job *other = jobs;

	while (other && other != job)
		other = other->next;
	return other != NULL;
}

/* The thread almost always finishes at once. */
static void wait_for(const struct job *job)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += CLOSER_PATIENCE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (is_in_list(job) && pthread_cond_timedwait(&done, &lock, &until) != ETIMEDOUT)
		continue;
}

static int start_closer(struct job *job)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attributes);
	if (r)
		return r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_mutex_lock(&lock);
	job->next = jobs;
	jobs = job;
	n_jobs++;
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the main thread handles signals */
	r = pthread_create(&thread, &attributes, run_closer, job);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
		/* the thread closes these; the others, or all if there is no thread, are closed here */
		for (size_t i = 0, k = 0; i < packet->n_fds && k < job->n_fds; i++)
			if (packet->fds[i] == job->fds[k]) {
				packet->fds[i] = -1;
				k++;
			}
		if (start_closer(job) == 0)
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
	be_impatient(true);
	packet_skip(socket);
	be_impatient(false);
	return true;
}

/*
 * Receives packets until one has descriptors. These go into a job, followed by the socket.
 *
 * Return: whether the queue is empty, as it usually is.
 */
static bool empty_queue(int socket, struct job **ret)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct refusal refusal;
	struct job *job;
	int r;

	do {
		packet_deinit(&packet);
		r = packet_receive(socket, &packet, &refusal);
	} while ((r == 0 || r == PACKET_REFUSED) && !packet.n_fds);
	job = packet.n_fds ? calloc(1, sizeof(*job)) : NULL;
	if (!job)
		return r == PACKET_END;
	memcpy(job->fds, packet.fds, packet.n_fds * sizeof(*packet.fds));
	job->n_fds = packet.n_fds;
	packet.n_fds = 0;
	job->fds[job->n_fds++] = socket;
	*ret = job;
	return false;
}

void closer_hang_up_consume(int socket, uid_t uid)
{
	struct job *job = NULL;

	/* no more packets can arrive after those in the queue, which close(2) would empty as well */
	(void)shutdown(socket, SHUT_RDWR);
	if (!closer_is_stuck(uid) && empty_queue(socket, &job)) {
		(void)close(socket);
		return;
	}
	if (job) {
		job->uid = uid;
		if (start_closer(job) == 0)
			return;
	}
	be_impatient(true);
	for (size_t i = 0; job && i + 1 < job->n_fds; i++)
		(void)close(job->fds[i]);
	(void)close(socket);
	be_impatient(false);
	free(job);
}

void closer_close_door_consume(int socket)
{
	be_impatient(true);
	closep(&socket);
	be_impatient(false);
}

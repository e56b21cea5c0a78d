/* SPDX-License-Identifier: BSD-3-Clause */
#include "clerk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../wire/packet.h"
#include "clerk_process.h"
#include "nursery.h"

struct clerk {
	sd_event *event; /* borrowed */
	int nursery;	 /* borrowed */
	int channel;	 /* -1: there is no process */
	sd_event_source *io, *timer;
	void (*answered)(int result, id_t id, void *userdata);
	void *userdata;
};

/* The process ends with the channel, or, if it waits for a name service, when its own time is up. */
void clerk_rest(struct clerk *clerk)
{
	(void)sd_event_source_set_enabled(clerk->timer, SD_EVENT_OFF);
	clerk->io = sd_event_source_disable_unref(clerk->io);
	closep(&clerk->channel);
	clerk->channel = -1;
}

static void give_up(struct clerk *clerk, int error)
{
	clerk_rest(clerk);
	clerk->answered(-error, 0, clerk->userdata);
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct clerk *clerk = userdata;
	struct clerk_answer answer;
	struct refusal refusal;
	int r = packet_receive(fd, &packet, &refusal);

	(void)source;
	(void)revents;
	if (r == PACKET_AGAIN)
		return 0;
	if (r == 0 && packet.size == sizeof(answer))
		memcpy(&answer, packet.text, sizeof(answer));
	if (r != 0 || packet.size != sizeof(answer) || answer.result > ACCOUNT_ABSENT) {
		give_up(clerk, ECHILD);
		return 0;
	}
	(void)sd_event_source_set_enabled(clerk->timer, SD_EVENT_OFF);
	clerk->answered(answer.result, answer.id, clerk->userdata);
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	give_up(userdata, ETIMEDOUT);
	return 0;
}

static int start(struct clerk *clerk)
{
	int channel[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	clerk->channel = channel[0];
	r = fcntl(channel[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(clerk->event, &clerk->io, channel[0], EPOLLIN, on_answer, clerk);
	if (r >= 0)
		r = packet_send(clerk->nursery, NURSERY_CLERK, strlen(NURSERY_CLERK), &channel[1], 1);
	(void)close(channel[1]);
	return r < 0 ? r : 0;
}

void clerk_ask(struct clerk *clerk, enum account_kind kind, const char *name)
{
	struct clerk_question question = {.kind = kind};
	int r = clerk->channel < 0 ? start(clerk) : 0;

	(void)snprintf(question.name, sizeof(question.name), "%s", name);
	if (r >= 0)
		r = packet_send(clerk->channel, (const char *)&question, sizeof(question), NULL, 0);
	/* what was not sent is not answered: then the time is up at once, from the event loop */
	(void)sd_event_source_set_time_relative(clerk->timer, r < 0 ? 0 : CLERK_PATIENCE_MS * 1000ULL);
	(void)sd_event_source_set_enabled(clerk->timer, SD_EVENT_ONESHOT);
}

int clerk_new(sd_event *event, int nursery, void (*answered)(int result, id_t id, void *userdata),
	void *userdata, struct clerk **ret)
{
	_cleanup_(clerk_freep) struct clerk *clerk = calloc(1, sizeof(*clerk));
	int r;

	if (!clerk)
		return -ENOMEM;
	*clerk = (struct clerk){.event = event,
		.nursery = nursery,
		.channel = -1,
		.answered = answered,
		.userdata = userdata};
	r = sd_event_add_time_relative(event, &clerk->timer, CLOCK_MONOTONIC, 0, 0, on_late, clerk);
	if (r >= 0)
		r = sd_event_source_set_enabled(clerk->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(clerk);
	return 0;
}

struct clerk *clerk_free(struct clerk *clerk)
{
	if (!clerk)
		return NULL;
	clerk_rest(clerk);
	sd_event_source_disable_unref(clerk->timer);
	free(clerk);
	return NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "doors.h"

#include <errno.h>
#include <sys/stat.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "notified.h"
#include "request.h"

static int refuse_door(struct refusal *refusal, int error, const char *path)
{
	return refuse(refusal, error, "cannot listen at %s (%s); usherd must be able to write there", path,
		errno_name(error));
}

int doors_open(struct usherd *usherd, struct passed *passed, struct refusal *refusal)
{
	const struct instance *instance = usherd->broker.instance;
	sd_event *event = usherd->broker.event;
	int r;

	usherd->monitor = monitor_new();
	if (!usherd->monitor)
		return -ENOMEM;
	if (mkdir(instance->run, 0755) < 0 && errno != EEXIST)
		return refuse_door(refusal, errno, instance->run);
	r = door_new(event, &usherd->staff, TAKE_FD(passed->door), instance->socket, request_admit,
		request_handle, usherd, &usherd->door);
	if (r < 0)
		return refuse_door(refusal, -r, instance->socket);
	r = notified_open(usherd, TAKE_FD(passed->notify));
	return r < 0 ? refuse_door(refusal, -r, instance->notify) : 0;
}

void doors_close(struct usherd *usherd)
{
	usherd->door = door_free(usherd->door);
	usherd->notify_door = notify_door_free(usherd->notify_door);
	usherd->monitor = monitor_free(usherd->monitor);
}

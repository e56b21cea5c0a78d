/* SPDX-License-Identifier: BSD-3-Clause */
#include "request.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>

#include "../util/clock.h"
#include "../util/macro.h"
#include "../util/pidfd.h"
#include "user_unit.h"

static void identify(struct intake_request *request)
{
	struct identity *identity = &request->identity;

	identity->verified = request->pidfd >= 0;
	if (request->pidfd < 0 && identity->pid > 0) {
		request->own_pidfd = (int)syscall(SYS_pidfd_open, identity->pid, 0);
		request->pidfd = request->own_pidfd;
	}
	/* for pid 0, a process that is not visible, it would return the broker's own unit */
	if (request->pidfd >= 0 && identity->pid > 0 && sd_pid_get_unit(identity->pid, &request->unit) >= 0)
		identity->unit = request->unit;
	identity->user_unit = request->user_unit =
		user_unit_read(identity->pid, identity->uid, request->unit);
	/* /proc was about this process only if it still lives now */
	if (!pidfd_is_alive(request->pidfd)) {
		identity->unit = "";
		identity->user_unit = NULL;
		identity->verified = false;
	}
}

void intake_request_init(struct intake_request *request, struct packet *packet)
{
	const struct ucred *sender = &packet->credentials;

	*request = (struct intake_request){
		.identity = {.uid = sender->uid, .gid = sender->gid, .pid = sender->pid, .unit = ""},
		.received = clock_monotonic_nsec(),
		.pidfd = packet->pidfd,
		.own_pidfd = -1,
	};
	identify(request);
}

void intake_request_open(struct intake_request *request, struct parcel *parcel)
{
	struct identity *identity = &request->identity;

	request->parcel = parcel;
	request->n_fds = parcel->n;
	if (parcel->pidfd < 0)
		return;
	closep(&request->own_pidfd);
	request->own_pidfd = request->pidfd = TAKE_FD(parcel->pidfd);
	identity->verified = pidfd_is_alive(request->pidfd);
	if (!identity->verified) {
		identity->unit = "";
		identity->user_unit = NULL;
	}
}

void intake_request_deinit(struct intake_request *request)
{
	parcel_release(request->parcel, NULL, NULL);
	closep(&request->own_pidfd);
	free(request->unit);
	free(request->user_unit);
}

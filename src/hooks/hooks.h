/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Notification of sockets that start to listen: bpf/listen.bpf.c
 *
 * A sock_ops program at TCP_LISTEN_CB and post_bind4/6 programs for UDP, attached to the root of cgroup v2, report
 * sockets of this network namespace on wanted ports. With Listen=kernel, the sock_ops program also puts the listener
 * into the broker's pinned map `early`, if the pinned `early_rules` describe it (usher-bpf.h). All of it ends with
 * this process.
 */

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-discover.h"
#include "../util/error.h"

struct hooks;

struct hooks_manner {
	const char *cgroup;    /* "/sys/fs/cgroup" */
	uint64_t netns_cookie; /* of the namespace */
	const char *pins;      /* folder of the broker's pins for Listen=kernel; NULL: without it */
	void (*function)(const struct usher_listen *listen, void *userdata);
	void *userdata;
};

/*
 * hooks_new() - load and attach
 *
 * Refused: no cgroup v2 there, no permission, a kernel without the hook, no pins (with Listen=kernel). Then nothing is
 * attached. Return: 0, REFUSED, or a negative errno.
 */
int hooks_new(const struct hooks_manner *manner, struct hooks **ret, struct refusal *refusal);
struct hooks *hooks_free(struct hooks *hooks);

/* hooks_want() - replace the set of wanted ports, without a gap for those that stay; Return: 0 or a negative errno */
int hooks_want(struct hooks *hooks, const struct usher_wanted *wanted, size_t n);

/*
 * hooks_want_again() - allow the next event of a port; to be called before the port is scanned
 * @port: 0 for all ports of both protocols
 *
 * After an event of a port, no further one of it comes until then.
 */
void hooks_want_again(struct hooks *hooks, uint8_t protocol, uint16_t port);

/* hooks_fd() - readable when there are events; hooks_read() - call the function for those, without waiting */
int hooks_fd(const struct hooks *hooks);
void hooks_read(struct hooks *hooks);

/* hooks_lost() - events that did not fit into the ring buffer so far; when this changes, scan everything */
uint64_t hooks_lost(const struct hooks *hooks);

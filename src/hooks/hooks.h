/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Hearing of sockets that start to listen: bpf/listen.bpf.c
 *
 * A sock_ops program at TCP_LISTEN_CB and post_bind4/6 programs for UDP, on the root of cgroup v2, tell of sockets of
 * this network namespace on wanted ports. With Listen=kernel the sock_ops program also puts the listener into the
 * broker's pinned map `early`, if it finds it in the pinned `early_rules` (usher-bpf.h). All is gone with this process.
 */

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/usher-discover.h"
#include "../util/error.h"

struct hooks;

struct hooks_manner {
	const char *cgroup;    /* "/sys/fs/cgroup" */
	uint64_t netns_cookie; /* of the namespace */
	const char *pins;      /* folder of the broker's pins for Listen=kernel; NULL without */
	void (*function)(const struct usher_listen *listen, void *userdata);
	void *userdata;
};

/*
 * hooks_new() - load and attach
 *
 * Refused: no cgroup v2 there, no permission, a kernel without the hook, pins that are not there (with Listen=kernel); then
 * nothing is attached. Return: 0, REFUSED, or a negative errno.
 */
int hooks_new(const struct hooks_manner *manner, struct hooks **ret, struct refusal *refusal);
struct hooks *hooks_free(struct hooks *hooks);

/* hooks_want() - replace the set of wanted ports; there is no moment without those that stay. 0 or a negative errno. */
int hooks_want(struct hooks *hooks, const struct usher_wanted *wanted, size_t n);

/*
 * hooks_want_again() - to be called before what was told of is looked at: no second event of the same port comes before
 * @port: 0 for all of both protocols
 */
void hooks_want_again(struct hooks *hooks, uint8_t protocol, uint16_t port);

/* hooks_fd() - becomes readable when there are events; hooks_read() calls the function for what is there, without waiting */
int hooks_fd(const struct hooks *hooks);
void hooks_read(struct hooks *hooks);

/* hooks_lost() - how many events did not fit the ring buffer so far: after a change, everything is to be scanned */
uint64_t hooks_lost(const struct hooks *hooks);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* VRF devices, their tables, and the devices in them: rtnetlink(7) */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../util/error.h"

struct vrf_link {
	uint32_t device;
	uint32_t table;	 /* of a VRF; 0: it is none */
	uint32_t master; /* the device that it belongs to; 0: none */
};

struct vrf_links {
	struct vrf_link *items; /* every device */
	size_t n;
};

#define VRF_LINKS_NULL ((struct vrf_links){})

/* vrf_read() - @ret: to be released on any result. Return: 0, REFUSED or -ENOMEM. */
int vrf_read(struct vrf_links *ret, struct refusal *refusal);
void vrf_deinit(struct vrf_links *links);

/*
 * vrf_is_open() - does the kernel give packets of VRFs to sockets that are bound to no device?
 * @protocol: IPPROTO_TCP or IPPROTO_UDP
 *
 * net.ipv4.tcp_l3mdev_accept, net.ipv4.udp_l3mdev_accept. Return: true as well where VRFs do not exist.
 */
bool vrf_is_open(uint8_t protocol);

/* vrf_of() - the VRF that a device is, or belongs to, directly or through a bridge; NULL: none */
const struct vrf_link *vrf_of(const struct vrf_links *links, uint32_t device);

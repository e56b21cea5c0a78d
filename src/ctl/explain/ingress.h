/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The device by which a packet comes, as the user names it, and as a lookup of sockets sees it */

#include <net/if.h>

#include "explanation.h"

/* Longer than any endpoint that is valid */
#define INGRESS_ENDPOINT_MAX 256

/*
 * ingress_split() - take "203.0.113.2:4000%eth0" apart
 * @device: "" when there is none; a name that is too long is cut
 *
 * "203.0.113.2%eth0:4000" and "[fe80::2%eth0]:4000", as other programs write it, are the same.
 */
void ingress_split(
	const char *text, char endpoint[static INGRESS_ENDPOINT_MAX], char device[static IF_NAMESIZE + 1]);

/*
 * ingress_find() - what the program in the kernel compares with the device of a socket
 *
 * By a device in a VRF, that is the VRF. What the host sends to itself comes by lo, but counts as come by the device
 * that has the address. Sets `ingress` and `by_vrf`. Return: 0 or -ENOMEM.
 */
int ingress_find(struct asked *asked);

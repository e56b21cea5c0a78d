/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Network devices, by their number (ifindex) in this network namespace */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "error.h"

/* "#4294967295" fits. */
#define DEVICE_TEXT_MAX IF_NAMESIZE

/*
 * device_format() - the name of a device as it is now; "#7" when there is none with this number
 * @device: 0: ""
 *
 * A socket stays bound to the number: a device that is made again under the same name is another one.
 */
const char *device_format(uint32_t device, char text[static DEVICE_TEXT_MAX]);

/*
 * device_endpoint_format() - "192.0.2.1:80%eth0" or "[fe80::1]:80%eth0", as endpoint_format() without a device
 * @device: to which the socket is bound; 0: none
 */
const char *device_endpoint_format(int family, const uint8_t *address, uint16_t port, uint32_t device,
	char text[static ENDPOINT_TEXT_MAX]);

/* device_endpoint_join() - the same from texts; @device: NULL: none */
const char *device_endpoint_join(
	const char *endpoint, const char *device, char text[static ENDPOINT_TEXT_MAX]);

/*
 * device_find_vrf() - the VRF that a device belongs to
 * @vrf: its name; "" on false
 *
 * Sysfs says it, which needs neither netlink nor a privilege. Return: false as well if this is not the sysfs of this
 * network namespace: then it is not known.
 */
bool device_find_vrf(uint32_t device, char vrf[static IF_NAMESIZE]);

/*
 * device_refuse_in_vrf() - refuse a socket that is bound to a device in a VRF; 0: to none
 *
 * The program compares with the device of a lookup, which for packets by a VRF is the VRF. The kernel's own lookup also
 * knows by which device of the VRF they came. Return: REFUSED (the text is a predicate of the socket) or 0.
 */
int device_refuse_in_vrf(uint32_t device, struct refusal *refusal);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Network devices, by their number (ifindex) in this network namespace */

#include <net/if.h>
#include <stdint.h>

/* "#4294967295" fits. */
#define DEVICE_TEXT_MAX IF_NAMESIZE

/*
 * device_format() - the name of a device as it is now; "#7" when there is none with this number
 * @device: 0: ""
 *
 * A socket stays bound to the number: a device that is made again under the same name is another one.
 */
const char *device_format(uint32_t device, char text[static DEVICE_TEXT_MAX]);

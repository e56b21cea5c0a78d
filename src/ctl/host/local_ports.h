/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The ports that the kernel gives to sockets that ask for none: net.ipv4.ip_local_port_range without
 * ip_local_reserved_ports. They are those of IPv6 as well.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../../util/error.h"

struct local_ports {
	uint16_t first, last;	     /* the range */
	uint8_t reserved[65536 / 8]; /* a bit for each port */
};

/* local_ports_read() - of this network namespace; Return: 0 or REFUSED */
int local_ports_read(struct local_ports *ret, struct refusal *refusal);

/* local_ports_has() - may the kernel give this port to a socket? */
bool local_ports_has(const struct local_ports *ports, unsigned port);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Addresses of sockets. IPv4 in an IPv6 socket (::ffff:192.0.2.1) counts as IPv4. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct endpoint {
	int family; /* AF_INET or AF_INET6 */
	uint8_t address[16];
	uint16_t port; /* host order */
};

/* endpoint_get() - false: it is not an IP address */
bool endpoint_get(const struct sockaddr_storage *address, struct endpoint *ret);

/* endpoint_set() - Return: the size of the address */
socklen_t endpoint_set(struct sockaddr_storage *ret, int family, const uint8_t *address, uint16_t port);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Checking a received descriptor: is it a socket that can be dispatched to? */

#include <stdbool.h>
#include <stdint.h>

#include "../util/error.h"

struct socket_facts {
	uint64_t cookie;     /* SO_COOKIE */
	int protocol;	     /* IPPROTO_TCP or IPPROTO_UDP */
	bool serves_ipv4;    /* an IPv4 socket, or an IPv6 socket that is not v6-only */
	bool serves_ipv6;    /* an IPv6 socket, unless it is bound to a v4-mapped address */
	int address_family;  /* of the local address: AF_INET also for a v4-mapped one */
	uint8_t address[16]; /* local address, network order; IPv4 in the first 4 bytes */
	uint16_t port;	     /* local port, host order */
	uint32_t
		device; /* ifindex that it is bound to: SO_BINDTODEVICE, or the scope of a link-local bind; 0: none */
	bool ipv6;	     /* of AF_INET6, whatever its address */
	bool reuseport;	     /* SO_REUSEPORT: it shares its address with others of its user */
	uint8_t destination; /* UDP: a set of DESTINATION_*; util/destination.h */
};

/*
 * inspect_socket() - check a descriptor that a client sent
 * @fd:           stays the caller's; nothing is changed about it
 * @netns_cookie: SO_NETNS_COOKIE of the namespace that is served
 *
 * Accepted: AF_INET and AF_INET6, TCP that listens, UDP that is bound and not connected, of this network namespace.
 * The kernel would also accept a connected UDP socket, and a listener of another namespace, to which it dispatches
 * without ever completing a connection (measured on Linux 6.18). Both are refused.
 *
 * The text of a refusal starts with a verb: the caller writes "socket 5 " in front of it.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int inspect_socket(int fd, uint64_t netns_cookie, struct socket_facts *ret, struct refusal *refusal);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which sockets listen in this network namespace: sock_diag(7), asked through libmnl
 *
 * Needs no privilege. What a dump says may be untrue a moment later: whoever acts upon it compares cookies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../util/error.h"

/* A TCP socket that listens, or a UDP socket that is bound and not connected. */
struct diag_socket {
	uint64_t cookie;     /* SO_COOKIE */
	uint32_t inode;	     /* 0: no process has it open (it is the kernel's) */
	uid_t uid;	     /* who made it */
	uint8_t protocol;    /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;	     /* AF_INET or AF_INET6 */
	uint8_t address[16]; /* local, network order, IPv4 in the first 4 bytes */
	uint16_t port;	     /* local, host order */
	uint32_t interface;  /* SO_BINDTODEVICE; 0: none */
	bool v6only;
	bool mptcp; /* the listener of an MPTCP socket, whose inode is that of the MPTCP socket, but not its cookie */
	uint32_t queue;	    /* TCP: connections that wait for accept(2); UDP: bytes that wait to be read */
	uint32_t queue_max; /* TCP: the backlog; UDP: 0 */
};

/* diag_address() - where it is bound; a v4-mapped IPv6 address is IPv4. Return: AF_INET or AF_INET6. */
int diag_address(const struct diag_socket *socket, const uint8_t **ret);

/* diag_serves() - can packets of a family reach it? IPv6 sockets that are not v6only serve IPv4 as well. */
bool diag_serves(const struct diag_socket *socket, int family);

/* diag_queue_is_full() - a listener that would not take one connection more */
bool diag_queue_is_full(const struct diag_socket *socket);

/*
 * diag_dump() - list sockets
 * @protocol: IPPROTO_TCP, IPPROTO_UDP, or 0 for both
 * @ports:    only sockets on these local ports, in host order; the kernel filters when there are few
 * @n_ports:  0 for all
 * @ret:      sorted by protocol, family, port, address, cookie; to be freed with free()
 *
 * Both families. A dump that the kernel says was interrupted (NLM_F_DUMP_INTR) is asked for again.
 *
 * Refused: no sock_diag in this kernel (EPROTONOSUPPORT), a dump that is interrupted again and again (EAGAIN), whatever
 * netlink says. Return: 0, REFUSED, or -ENOMEM.
 */
int diag_dump(uint8_t protocol, const uint16_t *ports, size_t n_ports, struct diag_socket **ret,
	size_t *ret_n, struct refusal *refusal);

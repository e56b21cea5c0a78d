/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The listening sockets of this network namespace: sock_diag(7), through libmnl
 *
 * Needs no privilege. A dump may be outdated a moment later, so a caller that acts on it has to compare cookies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../util/error.h"

/* A TCP socket that listens, or a UDP socket that is bound and not connected. */
struct diag_socket {
	uint64_t cookie;     /* SO_COOKIE */
	uint32_t inode;	     /* 0: no process has it open; it belongs to the kernel */
	uid_t uid;	     /* of its creator */
	uint8_t protocol;    /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;	     /* AF_INET or AF_INET6 */
	uint8_t address[16]; /* local, network order, IPv4 in the first 4 bytes */
	uint16_t port;	     /* local, host order */
	uint32_t interface;  /* SO_BINDTODEVICE; 0: none */
	uint64_t cgroup;     /* of cgroup2, in which the socket was created: its inode; 0: not known */
	bool v6only;
	bool transparent; /* IP_TRANSPARENT; false on kernels that do not show it */
	bool mptcp; /* a listener inside an MPTCP socket: it has the inode of that socket, but another cookie */
	uint32_t queue;	    /* TCP: connections waiting for accept(2); UDP: bytes waiting to be read */
	uint32_t queue_max; /* TCP: the backlog; UDP: 0 */
};

/* diag_address() - the local address; a v4-mapped IPv6 address is IPv4. Return: AF_INET or AF_INET6. */
int diag_address(const struct diag_socket *socket, const uint8_t **ret);

/* diag_serves() - can packets of a family reach it? IPv6 sockets that are not v6only serve IPv4 too. */
bool diag_serves(const struct diag_socket *socket, int family);

/* diag_queue_is_full() - would the listener drop another connection? */
bool diag_queue_is_full(const struct diag_socket *socket);

/*
 * diag_dump() - list sockets
 * @protocol: IPPROTO_TCP, IPPROTO_UDP, or 0 for both
 * @ports:    only sockets on these local ports, in host order; the kernel filters when there are few
 * @n_ports:  0 for all
 * @ret:      sorted by protocol, family, port, address, cookie; to be freed with free()
 *
 * Both families. If the kernel reports that a dump was interrupted (NLM_F_DUMP_INTR), it is repeated.
 *
 * Refused: no sock_diag in this kernel (EPROTONOSUPPORT), a dump that is interrupted every time (EAGAIN), any other
 * error of netlink. Return: 0, REFUSED, or -ENOMEM.
 */
int diag_dump(uint8_t protocol, const uint16_t *ports, size_t n_ports, struct diag_socket **ret,
	size_t *ret_n, struct refusal *refusal);

/* diag_is_group() - are two sockets bound alike, by one user, so that they are one SO_REUSEPORT group if they listen? */
bool diag_is_group(const struct diag_socket *a, const struct diag_socket *b);

/* diag_count_group() - how many of these are one group with a socket, itself included */
size_t diag_count_group(const struct diag_socket *sockets, size_t n, const struct diag_socket *socket);

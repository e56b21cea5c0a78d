/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What becomes of a UDP socket in a BPF map of sockets
 *
 * The kernel gives it other functions (net/ipv4/udp_bpf.c), and no setting of the map avoids that. What its owner sees of
 * it depends on the kernel, and backports make version numbers useless: so it is tried.
 */

#include <stdbool.h>

struct udp_map {
	bool hides_size;      /* ioctl(FIONREAD) is 0 while a datagram waits */
	bool ignores_nothing; /* a receive of 0 bytes neither waits nor looks at a datagram nor removes one */
};

/*
 * udp_map_try() - put a socket into a map, send it one datagram, and look
 *
 * Both are made here. The socket is on 127.0.0.1 and connected, so that no other gets the datagram, whatever rules
 * apply.
 *
 * Return: 0 or a negative errno: -EPERM without CAP_BPF and CAP_NET_ADMIN, -ETIME if the datagram does not arrive.
 */
int udp_map_try(struct udp_map *ret);

/*
 * udp_map_read() - see without a socket whether ioctl(FIONREAD) is another: the kernel's type information names its function
 *
 * For a process that may open no socket. `ignores_nothing` is true, as on all kernels so far.
 *
 * Return: 0 or a negative errno: -ENOENT without type information.
 */
int udp_map_read(struct udp_map *ret);

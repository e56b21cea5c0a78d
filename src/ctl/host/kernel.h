/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the running kernel can do, found out by trying it: bpf(2) and sockets, without libbpf. Nothing is left behind. */

#include <stdint.h>

/*
 * kernel_try_map() - create a BPF map with one entry
 * @type: BPF_MAP_TYPE_SOCKHASH, SOCKMAP or RINGBUF
 *
 * Return: 0 or a negative errno. -EPERM says that this process may not ask, and nothing about the kernel.
 */
int kernel_try_map(uint32_t type);

/* kernel_try_program() - load an sk_lookup program of two instructions; Return: as kernel_try_map() */
int kernel_try_program(void);

/* kernel_try_peer_pidfd() - ask for the pidfd of a peer (SO_PEERPIDFD, Linux 6.5); Return: 0 or a negative errno */
int kernel_try_peer_pidfd(void);

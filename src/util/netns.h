/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Network namespaces, told apart by the cookie that the kernel gives each of them, or by the inode number of their file in
 * /proc: that is what is known of the namespace of another process.
 */

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/*
 * netns_read_cookie() - the cookie of the network namespace this process is in (SO_NETNS_COOKIE, Linux 5.14)
 *
 * Return: 0, REFUSED (ENOSYS), or a negative errno.
 */
int netns_read_cookie(uint64_t *ret, struct refusal *refusal);

/* netns_read_inode() - the inode number of the network namespace this process is in; Return: 0 or a negative errno */
int netns_read_inode(unsigned long *ret);

/* netns_is_other() - whether that is another one than this process's; false for 0, which is none, and without /proc */
bool netns_is_other(unsigned long inode);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Network namespaces, identified by the cookie that the kernel gives each of them, or by the inode number of their file
 * in /proc. For the namespace of another process only the inode number is known.
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

/* netns_is_other() - whether it is not this process's namespace; false for 0, which is none, and without /proc */
bool netns_is_other(unsigned long inode);

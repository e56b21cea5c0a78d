/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which user owns a subordinate uid: /etc/subuid (subuid(5))
 *
 * A user with a range there can act as each of its uids (newuidmap(1)). So a limit for each uid applies to a user and to
 * all uids that are subordinate to it together.
 *
 * The files are read as they are, without the name service switch: that could wait for a network.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SUBUIDS_PATH "/etc/subuid"
#define SUBUIDS_PASSWD_PATH "/etc/passwd"

/* What is beyond is not read: its uids count for themselves. */
#define SUBUIDS_MAX 4096U
#define SUBUIDS_USERS_MAX 65536U
#define SUBUIDS_BYTES_MAX (4U * 1024U * 1024U)

struct subuid_range {
	uid_t first, last, owner;
};

struct subuids {
	struct subuid_range *ranges; /* sorted by `first` */
	size_t n;
};

/*
 * subuids_parse() - from the texts of both files
 *
 * Lines that are not understood are left out, and so are ranges of root and ranges that root is in. The uids of a user
 * that is not in @passwd count as the first one of the range.
 *
 * Return: 0 or -ENOMEM.
 */
int subuids_parse(char *subuid, char *passwd, struct subuids *ret);

/* subuids_read() - a file that does not exist or cannot be read is empty. Return: 0 or -ENOMEM. */
int subuids_read(const char *subuid_path, const char *passwd_path, struct subuids *ret);
void subuids_deinit(struct subuids *subuids);

/* subuids_owner() - of the range that a uid is in; the one that begins last, if several; otherwise the uid itself */
uid_t subuids_owner(const struct subuids *subuids, uid_t uid);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* How many sessions each user has: uids that are subordinate to a user count as that user, and root does not count. */

#include "subuids.h"

struct quota_owner {
	uid_t uid;
	size_t n; /* not 0 */
};

struct quota {
	struct subuids subuids;
	struct quota_owner *owners; /* sorted by uid */
	size_t n_owners;
	size_t n; /* of all owners */
};

/* quota_read_owners() - read /etc/subuid, when nobody is counted. Return: 0 or -ENOMEM. */
int quota_read_owners(struct quota *quota);
void quota_deinit(struct quota *quota);

/* quota_clear() - forget whom it has counted */
void quota_clear(struct quota *quota);

/* quota_count() - sessions of the owner of a uid */
size_t quota_count(const struct quota *quota, uid_t uid);

/* quota_most() - sessions of the owner that has most */
size_t quota_most(const struct quota *quota);

/* quota_add(), quota_remove() - a session of a uid began, or ended. quota_add() - Return: 0 or -ENOMEM. */
int quota_add(struct quota *quota, uid_t uid);
void quota_remove(struct quota *quota, uid_t uid);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "quota.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../util/array.h"

static int compare_uid(const void *uid, const void *owner)
{
	uid_t x = *(const uid_t *)uid, y = ((const struct quota_owner *)owner)->uid;

	return (x > y) - (x < y);
}

/* Where the owner of a uid is, or would be. */
static size_t find_owner(const struct quota *quota, uid_t uid, uid_t *ret_owner, bool *ret_found)
{
	size_t at;

	*ret_owner = subuids_owner(&quota->subuids, uid);
	at = array_lower_bound(
		ret_owner, quota->owners, quota->n_owners, sizeof(*quota->owners), compare_uid);
	*ret_found = at < quota->n_owners && quota->owners[at].uid == *ret_owner;
	return at;
}

int quota_read_owners(struct quota *quota)
{
	struct subuids subuids;
	int r = subuids_read(SUBUIDS_PATH, SUBUIDS_PASSWD_PATH, &subuids);

	if (r < 0)
		return r;
	subuids_deinit(&quota->subuids);
	quota->subuids = subuids;
	return 0;
}

void quota_clear(struct quota *quota)
{
	quota->n = quota->n_owners = 0;
	free(quota->owners);
	quota->owners = NULL;
}

void quota_deinit(struct quota *quota)
{
	quota_clear(quota);
	subuids_deinit(&quota->subuids);
}

size_t quota_count(const struct quota *quota, uid_t uid)
{
	bool found;
	uid_t owner;
	size_t at = find_owner(quota, uid, &owner, &found);

	return found ? quota->owners[at].n : 0;
}

size_t quota_most(const struct quota *quota)
{
	size_t most = 0;

	for (size_t i = 0; i < quota->n_owners; i++)
		most = quota->owners[i].n > most ? quota->owners[i].n : most;
	return most;
}

int quota_add(struct quota *quota, uid_t uid)
{
	bool found;
	uid_t owner;
	size_t at;

	if (!uid)
		return 0;
	at = find_owner(quota, uid, &owner, &found);
	if (!found) {
		if (ARRAY_RESERVE(quota->owners, quota->n_owners) < 0)
			return -ENOMEM;
		memmove(&quota->owners[at + 1], &quota->owners[at],
			(quota->n_owners - at) * sizeof(*quota->owners));
		quota->owners[at] = (struct quota_owner){.uid = owner};
		quota->n_owners++;
	}
	quota->owners[at].n++;
	quota->n++;
	return 0;
}

void quota_remove(struct quota *quota, uid_t uid)
{
	bool found;
	uid_t owner;
	size_t at;

	if (!uid)
		return;
	at = find_owner(quota, uid, &owner, &found);
	if (!found)
		return;
	quota->n--;
	if (--quota->owners[at].n)
		return;
	quota->n_owners--;
	memmove(&quota->owners[at], &quota->owners[at + 1], (quota->n_owners - at) * sizeof(*quota->owners));
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The texts of /etc/subuid and /etc/passwd, with a NUL between them
 *
 * Whatever they are, ranges are sorted, none is of root, and a uid has the owner of the range that it is in and that
 * begins last.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intake/subuids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uid_t find_owner(const struct subuids *subuids, uid_t uid)
{
	uid_t owner = uid, first = 0;

	for (size_t i = 0; i < subuids->n; i++)
		if (subuids->ranges[i].first >= first && subuids->ranges[i].first <= uid) {
			first = subuids->ranges[i].first;
			owner = uid <= subuids->ranges[i].last ? subuids->ranges[i].owner : uid;
		}
	return owner;
}

static void check(const struct subuids *subuids)
{
	for (size_t i = 0; i < subuids->n; i++) {
		const struct subuid_range *range = &subuids->ranges[i];
		const uid_t uids[] = {range->first, range->last, range->first - 1, range->last + 1};

		assert(range->first <= range->last && range->last != (uid_t)-1 && range->owner);
		assert(!i || subuids->ranges[i - 1].first <= range->first);
		for (size_t k = 0; k < sizeof(uids) / sizeof(uids[0]); k++)
			assert(subuids_owner(subuids, uids[k]) == find_owner(subuids, uids[k]));
	}
	assert(subuids_owner(subuids, 0) == 0);
}

static char *copy(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1); /* of the exact size, so that the sanitizer sees reads beyond it */

	assert(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t length = nul ? (size_t)(nul - data) : size;
	char *subuid = copy(data, length), *passwd = copy(nul ? nul + 1 : data, nul ? size - length - 1 : 0);
	struct subuids subuids;

	assert(subuids_parse(subuid, passwd, &subuids) == 0);
	check(&subuids);
	subuids_deinit(&subuids);
	free(subuid);
	free(passwd);
	return 0;
}

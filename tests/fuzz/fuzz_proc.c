/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Texts of /proc about a process, who chooses its name and its groups
 *
 * The first byte says which: "status", "stat", or "fdinfo" of a pidfd. What was read of "status" is the same when it is
 * written and read again. Names are printable.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/macro.h"
#include "util/proc.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct proc_status *status)
{
	_cleanup_(proc_status_deinit) struct proc_status again = {.n_groups = 0};
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert(stream);
	(void)fprintf(stream, "Name:\tx\nTgid:\t%d\nUid:\t0\t%u\t0\t0\nGid:\t0\t%u\t0\t0\nGroups:\t",
		status->group, status->uid, status->gid);
	for (size_t i = 0; i < status->n_groups; i++)
		(void)fprintf(stream, "%u ", status->groups[i]);
	(void)fprintf(stream, "\nCapEff:\t%016" PRIx64 "\n", status->capabilities);
	assert(fclose(stream) == 0);
	assert(proc_parse_status(text, &again) == 0);
	assert(again.group == status->group && again.uid == status->uid && again.gid == status->gid);
	assert(again.capabilities == status->capabilities && again.n_groups == status->n_groups);
	assert(!again.n_groups ||
		!memcmp(again.groups, status->groups, again.n_groups * sizeof(*again.groups)));
}

static void try_status(const char *text, size_t size)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};
	int r = proc_parse_status(text, &status);

	assert(r == 0 || r == -EBADMSG);
	assert(status.group >= 0 && status.n_groups <= size / 2);
	if (!r)
		check_again(&status);
}

static void try_stat(const char *text)
{
	struct proc_stat stat;
	int r = proc_parse_stat(text, &stat);

	assert(r == 0 || r == -EBADMSG);
	if (!r)
		assert(text_is_clean(stat.name, strlen(stat.name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;
	pid_t pid;

	if (!size)
		return 0;
	text = malloc(size); /* of the exact size, so that the sanitizer sees reads beyond it */
	assert(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3) {
	case 0:
		try_status(text, size);
		break;
	case 1:
		try_stat(text);
		break;
	default:
		(void)proc_parse_pidfd(text, &pid);
		break;
	}
	free(text);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The descriptors of the test process: count them, or forbid new ones. Include cmocka.h before. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* descriptors_count() - the number of open descriptors plus three: ".", ".." and that of the listing */
static inline size_t descriptors_count(void)
{
	DIR *entries = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(entries);
	while (readdir(entries))
		n++;
	assert_return_code(closedir(entries), errno);
	return n;
}

/* descriptors_forbid() - make the next one fail with EMFILE; Return: the limit, for descriptors_allow() */
static inline struct rlimit descriptors_forbid(void)
{
	struct rlimit before, none;
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_return_code(lowest, errno);
	assert_return_code(close(lowest), errno);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max};
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	return before;
}

static inline void descriptors_allow(const struct rlimit *before)
{
	assert_return_code(setrlimit(RLIMIT_NOFILE, before), errno);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "footprint.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/cleanup.h"

/* The folder has the number of descriptors as its size since Linux 6.2 (fs/proc/fd.c), and 0 before. */
static size_t count_fds(void)
{
	_cleanup_(closedirp) DIR *folder = NULL;
	struct stat status;
	size_t n = 0;

	if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
		return (size_t)status.st_size;
	folder = opendir("/proc/self/fd");
	if (!folder)
		return 0;
	while (readdir(folder))
		n++;
	return n - 3; /* ".", ".." and the folder itself */
}

/* Return: 0 when it cannot be read. */
static uint64_t read_resident(void)
{
	_cleanup_(fclosep) FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (!file || fscanf(file, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t to_usec(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

void footprint_write(struct writer *answer)
{
	size_t n_fds = count_fds();
	uint64_t resident = read_resident();
	struct rlimit limit;
	struct rusage usage;

	if (n_fds)
		writer_put(answer, KEY_FDS, "%zu", n_fds);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		writer_put(answer, KEY_FDS_MAX, "%" PRIu64, (uint64_t)limit.rlim_cur);
	if (resident)
		writer_put(answer, KEY_RESIDENT, "%" PRIu64, resident);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		writer_put(answer, KEY_CPU, "%" PRIu64, to_usec(&usage.ru_utime) + to_usec(&usage.ru_stime));
}

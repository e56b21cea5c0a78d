/* SPDX-License-Identifier: BSD-3-Clause */
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../util/clock.h"
#include "../util/macro.h"
#include "../util/text.h"

static int open_file(const char *folder)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = -1;

	if (snprintf(path, sizeof(path), "%s/" TALLY_FILE, folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	/* a new file: a reader of the old one does not see half of both */
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0 || ftruncate(fd, sizeof(struct tally)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int tally_open(const char *folder, struct tally **ret)
{
	_cleanup_close_ int fd = folder ? open_file(folder) : -1;
	struct tally *tally;

	if (folder && fd < 0)
		return fd;
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		folder ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (tally == MAP_FAILED)
		return -errno;
	tally->magic = TALLY_MAGIC;
	tally->size = sizeof(*tally);
	tally->pid = getpid();
	tally->started_usec = clock_realtime_usec();
	*ret = tally;
	return 0;
}

bool tally_read(const char *name, struct tally *ret)
{
	char path[PATH_MAX];
	_cleanup_close_ int fd = -1;
	struct stat st;

	(void)snprintf(path, sizeof(path), TALLY_FOLDER "/%s/" TALLY_FILE, name);
	/* the folder belongs to the relay's user, who may put anything there */
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (pread(fd, ret, sizeof(*ret), 0) != sizeof(*ret) || ret->magic != TALLY_MAGIC ||
		ret->size != sizeof(*ret) || ret->pid <= 0 || ret->pid > INT_MAX)
		return false;
	if (ret->n_backends > TALLY_BACKENDS_MAX)
		ret->n_backends = TALLY_BACKENDS_MAX;
	for (uint32_t i = 0; i < ret->n_backends; i++) {
		ret->backends[i].text[TALLY_TEXT_MAX - 1] = '\0';
		text_make_printable(ret->backends[i].text);
	}
	return kill((pid_t)ret->pid, 0) == 0 || errno == EPERM;
}

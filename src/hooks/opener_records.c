/* SPDX-License-Identifier: BSD-3-Clause */
#include "opener_records.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../bpf/usher-discover.h"
#include "../util/macro.h"

#define RECORDS_PER_READ 2048U

static int add(struct inode_index *index, const struct usher_opener *record)
{
	if (record->pid > INT32_MAX || record->fd > INT32_MAX)
		return -EBADMSG;
	return inode_index_add(index, record->inode, (pid_t)record->pid, (int)record->fd);
}

int opener_records_read(int iterator, struct inode_index *index)
{
	_cleanup_free_ struct usher_opener *records = calloc(RECORDS_PER_READ, sizeof(*records));

	if (!records)
		return -ENOMEM;
	for (;;) {
		ssize_t size = read(iterator, records, RECORDS_PER_READ * sizeof(*records));

		/* the kernel returns EAGAIN after a million descriptors without output */
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (size <= 0)
			return size < 0 ? -errno : 0;
		if ((size_t)size % sizeof(*records))
			return -EBADMSG;
		for (size_t i = 0; i < (size_t)size / sizeof(*records); i++) {
			int r = add(index, &records[i]);

			if (r < 0)
				return r;
		}
	}
}

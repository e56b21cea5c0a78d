/* SPDX-License-Identifier: BSD-3-Clause */
#include "netns.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "errno_name.h"
#include "macro.h"

int netns_read_cookie(uint64_t *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*ret);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &size) < 0)
		return refuse(refusal, ENOSYS,
			"this kernel has no cookies of network namespaces (%s); usher needs Linux 6.1",
			errno_name(errno));
	return 0;
}

int netns_read_inode(unsigned long *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/net", &st) < 0)
		return -errno;
	*ret = (unsigned long)st.st_ino; /* of 32 bits: numbers of namespaces are from proc_alloc_inum() */
	return 0;
}

bool netns_is_other(unsigned long inode)
{
	unsigned long own = 0;

	return inode && netns_read_inode(&own) == 0 && own != inode;
}

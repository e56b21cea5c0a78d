/* SPDX-License-Identifier: BSD-3-Clause */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../util/errno_name.h"
#include "../util/macro.h"

#define PTRACE_SCOPE "/proc/sys/kernel/yama/ptrace_scope"
#define PTRACE_SCOPE_NOBODY '3'

/* The value of kernel.yama.ptrace_scope; '0' without Yama. */
static char ptrace_scope(void)
{
	_cleanup_close_ int fd = open(PTRACE_SCOPE, O_RDONLY | O_CLOEXEC);
	char value = '0';

	if (fd >= 0)
		(void)!read(fd, &value, 1);
	return value;
}

static int refuse_permission(int error, struct refusal *refusal)
{
	if (ptrace_scope() == PTRACE_SCOPE_NOBODY)
		return refuse(refusal, error,
			"cannot be duplicated (pidfd_getfd: %s): kernel.yama.ptrace_scope is 3, which forbids it to every process until the next boot; set it to 2 in /etc/sysctl.d and reboot",
			errno_name(error));
	return refuse(refusal, error,
		"cannot be duplicated (pidfd_getfd: %s): a process of another user, or one that is not dumpable, requires CAP_SYS_PTRACE, and the security modules (Yama, AppArmor, SELinux) must permit it; run as root or in usher-discover.service, and look for a denial in the kernel log",
		errno_name(error));
}

static int duplicate(const struct process *process, int fd, int *ret, struct refusal *refusal)
{
	int own = (int)syscall(SYS_pidfd_getfd, process->pidfd, fd, 0);

	if (own >= 0) {
		*ret = own;
		return 0;
	}
	switch (errno) {
	case EBADF:
	case ESRCH:
		return FETCH_CHANGED;
	case EPERM:
	case EACCES:
		return refuse_permission(errno, refusal);
	case EMFILE:
	case ENFILE:
		return refuse(refusal, errno,
			"cannot be duplicated (%s): no free descriptor is left; raise LimitNOFILE=",
			errno_name(errno));
	case ENOSYS:
		return refuse(refusal, errno,
			"cannot be duplicated (ENOSYS): this kernel lacks pidfd_getfd(2), or a system call filter forbids it; allow it in SystemCallFilter=");
	}
	return refuse(refusal, errno, "cannot be duplicated (pidfd_getfd: %s)", errno_name(errno));
}

static bool get_option64(int fd, int option, uint64_t *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, option, ret, &size) == 0 && size == sizeof(*ret);
}

/* sock_diag lists the TCP socket inside an MPTCP socket: they share an inode, but not a cookie. */
static bool is_mptcp_of(int fd, const struct diag_socket *socket)
{
	socklen_t size = sizeof(int);
	struct stat status;
	int protocol;

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_MPTCP &&
	       fstat(fd, &status) == 0 && status.st_ino == socket->inode;
}

int fetch_refuse_mptcp(struct refusal *refusal)
{
	return refuse(refusal, EOPNOTSUPP,
		"is an MPTCP listener, which a sockmap refuses (EOPNOTSUPP); listen with plain TCP (Go: GODEBUG=multipathtcp=0)");
}

int fetch_dup(const struct process *process, int fd, const struct diag_socket *socket, uint64_t netns_cookie,
	int *ret, struct refusal *refusal)
{
	_cleanup_close_ int own = -1;
	uint64_t cookie, netns;
	int r;

	r = duplicate(process, fd, &own, refusal);
	if (r)
		return r;
	if (!get_option64(own, SO_COOKIE, &cookie))
		return FETCH_CHANGED;
	if (cookie != socket->cookie)
		return is_mptcp_of(own, socket) ? fetch_refuse_mptcp(refusal) : FETCH_CHANGED;
	if (!get_option64(own, SO_NETNS_COOKIE, &netns) || netns != netns_cookie)
		return refuse(refusal, EXDEV,
			"belongs to another network namespace, in which no connection would ever complete (EXDEV); run usher-discover and usherd in that namespace");
	if (!process_is_alive(process))
		return FETCH_CHANGED;
	*ret = TAKE_FD(own);
	return 0;
}

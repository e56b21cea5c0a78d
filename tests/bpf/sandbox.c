/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util/macro.h"

static char own_cgroup[128];

static _Noreturn void fail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("lo");
}

static int enter_cgroup(const char *path)
{
	char file[300];
	_cleanup_close_ int fd = -1;

	(void)snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, "0", 1) == 1 ? 0 : -errno;
}

static int remove_folder(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)walk;
	return type == FTW_DP && rmdir(path) < 0 ? -1 : 0;
}

int sandbox_main(int (*function)(void))
{
	char top[] = "/tmp/usher-sandbox-XXXXXX";
	int status = 1;
	pid_t pid;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("bpf", SANDBOX_PINS, "bpf", 0, NULL) < 0 || !mkdtemp(top) ||
		mount("cgroup2", top, "cgroup2", 0, NULL) < 0)
		fail("namespaces");
	(void)snprintf(own_cgroup, sizeof(own_cgroup), "%s/usher-sandbox-%d", top, getpid());
	if (mkdir(own_cgroup, 0755) < 0)
		fail(own_cgroup);
	loopback_up();
	libbpf_set_print(NULL);
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
			fail("proc");
		exit(function());
	}
	(void)waitpid(pid, &status, 0);
	if (nftw(own_cgroup, remove_folder, 32, FTW_DEPTH | FTW_PHYS) < 0)
		printf("# %s is left behind (%s)\n", own_cgroup, strerrorname_np(errno));
	(void)umount2(top, MNT_DETACH);
	(void)rmdir(top);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

const char *sandbox_cgroup(const char *name, char path[static 256])
{
	(void)snprintf(path, 256, "%s%s%s", own_cgroup, name ? "/" : "", name ? name : "");
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail(path);
	return path;
}

static int bind_to(int fd, const struct sandbox_spec *spec)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(spec->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(spec->port)};
	int on = 1, v6only = spec->v6only;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (spec->family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
		if (spec->address)
			(void)inet_pton(AF_INET6, spec->address, &in6.sin6_addr);
		return bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	}
	if (spec->address)
		(void)inet_pton(AF_INET, spec->address, &in.sin_addr);
	return bind(fd, (struct sockaddr *)&in, sizeof(in));
}

static int make_socket(const struct sandbox_spec *spec)
{
	int type = spec->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, fd;

	if (seteuid(spec->maker) < 0)
		return -1;
	fd = socket(spec->family, type, spec->protocol);
	if (fd < 0 || seteuid(0) < 0 || setresuid(spec->uid, spec->uid, 0) < 0 || bind_to(fd, spec) < 0)
		return -1;
	return spec->protocol == IPPROTO_UDP || spec->bind_only || listen(fd, 8) == 0 ? fd : -1;
}

static int do_all(const struct sandbox_spec *spec, struct sandbox_process *ret)
{
	socklen_t size = sizeof(ret->cookie);
	struct stat st;
	char path[256];

	if (spec->cgroup && enter_cgroup(sandbox_cgroup(spec->cgroup, path)) < 0)
		return -1;
	if (spec->other_netns && unshare(CLONE_NEWNET) < 0)
		return -1;
	for (unsigned i = 0; i < spec->n_times; i++) {
		struct sandbox_spec next = *spec;
		_cleanup_close_ int fd = -1;

		next.port += spec->other_ports ? i + 1 : 0;
		fd = make_socket(&next);

		if (fd < 0 || setresuid(0, 0, 0) < 0)
			return -1;
	}
	ret->fd = make_socket(spec);
	if (ret->fd < 0 || setresuid(0, 0, 0) < 0)
		return -1;
	for (unsigned i = 0; i < spec->n_duplicates; i++)
		if (dup(ret->fd) < 0)
			return -1;
	if (getsockopt(ret->fd, SOL_SOCKET, SO_COOKIE, &ret->cookie, &size) < 0 || fstat(ret->fd, &st) < 0)
		return -1;
	ret->inode = (uint32_t)st.st_ino;
	return 0;
}

static _Noreturn void serve(const struct sandbox_spec *spec, int control)
{
	struct sandbox_process result = {.pid = getpid()};
	char byte;

	if (do_all(spec, &result) < 0)
		result = (struct sandbox_process){.error = errno};
	for (unsigned i = 0; i < spec->n_children && result.pid; i++) {
		result.children[i] = fork();
		if (!result.children[i]) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			(void)pause();
			_exit(0);
		}
	}
	(void)!write(control, &result, sizeof(result));
	if (read(control, &byte, 1) == 1) {
		(void)close(result.fd);
		(void)!write(control, &byte, 1);
		(void)pause();
	}
	_exit(0);
}

/* unshare(2) of a pid namespace affects the next child, and all later ones unless it is undone. */
pid_t sandbox_fork(bool other_pidns)
{
	int own = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
	pid_t pid;

	if (own < 0 || (other_pidns && unshare(CLONE_NEWPID) < 0))
		fail("pid namespace");
	(void)fflush(stdout);
	pid = fork();
	if (!pid)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid && other_pidns && setns(own, CLONE_NEWPID) < 0)
		fail("pid namespace");
	if (pid < 0)
		fail("fork");
	(void)close(own);
	return pid;
}

struct sandbox_process sandbox_start(const struct sandbox_spec *spec)
{
	struct sandbox_process process;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	pid = sandbox_fork(spec->other_pidns);
	if (!pid) {
		(void)close(pair[0]);
		serve(spec, pair[1]);
	}
	(void)close(pair[1]);
	if (read(pair[0], &process, sizeof(process)) != (ssize_t)sizeof(process))
		fail("a process that listens");
	process.control = pair[0];
	process.pid = pid;
	return process;
}

void sandbox_close(struct sandbox_process *process)
{
	char byte = 0;

	if (write(process->control, &byte, 1) != 1 || read(process->control, &byte, 1) != 1)
		fail("a process that closes");
}

void sandbox_end(struct sandbox_process *process)
{
	(void)kill(process->pid, SIGKILL);
	(void)waitpid(process->pid, NULL, 0);
	for (size_t i = 0; i < SANDBOX_CHILDREN_MAX; i++)
		if (process->children[i] > 0) {
			(void)kill(process->children[i], SIGKILL);
			(void)waitpid(
				process->children[i], NULL, 0); /* process 1 adopts it, which is this one */
		}
	(void)close(process->control);
}

void sandbox_keep(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(capabilities >> 32 * i),
			.permitted = (uint32_t)(capabilities >> 32 * i),
		};
	if (syscall(SYS_capset, &header, data) < 0)
		fail("capset");
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Process 1 of the guest, from the initramfs
 *
 * Loads the modules in /modules in the order of their names, puts a tmpfs over the host's root (virtiofs), changes to
 * it, runs /exchange/guest (a writable virtiofs), and powers the machine off.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static _Noreturn void fail(const char *what)
{
	printf("init: %s: %s\n", what, strerror(errno));
	off();
}

static void put(
	const char *kind, const char *source, const char *target, unsigned long flags, const char *options)
{
	if (mkdir(target, 0755) < 0 && errno != EEXIST)
		fail(target);
	if (mount(source, target, kind, flags, options) < 0)
		fail(target);
}

static void load_modules(void)
{
	struct dirent **entries;
	int n = scandir("/modules", &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[512];
		int fd;

		if (entries[i]->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/modules/%s", entries[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			fail(path);
		(void)close(fd);
	}
}

static void put_root(void)
{
	put("virtiofs", "root", "/lower", MS_RDONLY, NULL);
	put("tmpfs", "upper", "/upper", 0, "mode=755,size=80%");
	if (mkdir("/upper/up", 0755) < 0 || mkdir("/upper/work", 0755) < 0)
		fail("/upper");
	put("overlay", "root", "/new", 0, "lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work");
	put("proc", "proc", "/new/proc", 0, NULL);
	put("sysfs", "sysfs", "/new/sys", 0, NULL);
	put("devtmpfs", "devtmpfs", "/new/dev", 0, NULL);
	put("devpts", "devpts", "/new/dev/pts", 0, "ptmxmode=666");
	put("tmpfs", "shm", "/new/dev/shm", 0, "mode=1777");
	put("tmpfs", "run", "/new/run", 0, "mode=755");
	put("cgroup2", "cgroup2", "/new/sys/fs/cgroup", 0, NULL);
	put("bpf", "bpf", "/new/sys/fs/bpf", 0, "mode=700");
	put("virtiofs", "exchange", "/new/exchange", 0, NULL);
	(void)symlink("/proc/self/fd", "/new/dev/fd");
}

int main(void)
{
	pid_t pid, done;

	load_modules();
	put_root();
	if (chdir("/new") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		fail("root");
	pid = fork();
	if (pid == 0) {
		(void)setsid();
		execl("/bin/sh", "sh", "/exchange/guest", (char *)NULL);
		_exit(127);
	}
	do {
		done = wait(NULL);
	} while (done != pid && (done >= 0 || errno == EINTR));
	off();
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "listen.skel.h"
#include "listen_record.h"

struct hooks {
	struct listen *programs;
	struct ring_buffer *ring;
	void (*function)(const struct usher_listen *listen, void *userdata);
	void *userdata;
	unsigned n_read; /* in this call of hooks_read() */
};

/* As many as the ring buffer holds: a process that listens in a loop must not keep hooks_read() busy for ever. */
#define READ_MAX (USHER_LISTENS_BYTES / sizeof(struct usher_listen))

DEFINE_CLEANUP(struct hooks, hooks_free);

static int open_cgroup(const char *path, int *ret, struct refusal *refusal)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return refuse(refusal, errno, "cannot open %s (%s); is cgroup v2 mounted there?", path,
			errno_name(errno));
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return refuse(refusal, ENODEV,
			"%s is not a cgroup v2 file system (ENODEV); next to v1, v2 is usually mounted on /sys/fs/cgroup/unified",
			path);
	*ret = TAKE_FD(fd);
	return 0;
}

/* Let the program use a map that the broker has pinned, if it is the map that the program was compiled for. */
static int adopt(struct bpf_map *map, const char *pins, struct refusal *refusal)
{
	_cleanup_close_ int fd = -1;
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", pins, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return refuse(refusal, errno, "cannot open the pin %s, which Listen=kernel needs (%s); %s",
			path, errno_name(errno),
			errno == ENOENT ? "is usherd running?" : "run as root, with CAP_BPF");
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		info.value_size != bpf_map__value_size(map))
		return refuse(refusal, EUCLEAN,
			"%s was pinned by another version of usher (EUCLEAN); run the same version of usherd and usher-discover",
			path);
	return bpf_map__reuse_fd(map, fd);
}

/* Choose one of the two programs for TCP, and load only the maps that it uses. */
static int choose_programs(struct listen *programs, const char *pins, struct refusal *refusal)
{
	struct bpf_map *const maps[] = {
		programs->maps.early_rules, programs->maps.early, programs->maps.events};
	int r;

	r = bpf_program__set_autoload(
		pins ? programs->progs.listen_tcp : programs->progs.listen_tcp_early, false);
	for (size_t i = 0; i < ARRAY_SIZE(maps) && !r; i++)
		r = pins ? adopt(maps[i], pins, refusal) : bpf_map__set_autocreate(maps[i], false);
	return r;
}

static bool has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

static int refuse_load(int error, struct refusal *refusal)
{
	/* without CAP_PERFMON, the verifier reports the helpers that read kernel memory as unknown (EINVAL) */
	if (error == EINVAL && !has_capability(CAP_PERFMON) && !has_capability(CAP_SYS_ADMIN))
		error = EPERM;
	if (error == EPERM || error == EACCES)
		return refuse(refusal, error,
			"the kernel does not permit loading the programs that watch for listeners (%s); usher-discover needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a system call filter must allow bpf(2)",
			errno_name(error));
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return refuse(refusal, error,
			"the programs that watch for listeners need /sys/kernel/btf/vmlinux, which cannot be read (%s); use a kernel with CONFIG_DEBUG_INFO_BTF",
			errno_name(errno));
	return refuse(refusal, error,
		"the kernel refused the programs that watch for listeners (%s); they need Linux 6.1 or newer, without lockdown=confidentiality",
		errno_name(error));
}

static int load_hooks(
	struct listen *programs, const struct hooks_manner *manner, int cgroup, struct refusal *refusal)
{
	struct stat st;
	int r;

	if (fstat(cgroup, &st) < 0)
		return -errno;
	programs->rodata->root_cgroup = st.st_ino;
	if (stat("/proc/self/ns/pid", &st) < 0)
		return refuse(refusal, errno, "cannot examine /proc/self/ns/pid (%s); is /proc mounted?",
			errno_name(errno));
	programs->rodata->netns_cookie = manner->netns_cookie;
	programs->rodata->pid_namespace = (uint32_t)st.st_ino;
	r = listen__load(programs);
	return r < 0 ? refuse_load(-r, refusal) : 0;
}

static int attach_program(struct bpf_program *program, int cgroup, const char *path, struct bpf_link **ret,
	struct refusal *refusal)
{
	struct bpf_link *link = bpf_program__attach_cgroup(program, cgroup);

	if (!link && errno == EPERM)
		return refuse(refusal, EPERM,
			"cannot attach a program to %s (EPERM): usher-discover needs CAP_NET_ADMIN, and other programs attached there must allow more (BPF_F_ALLOW_MULTI); 'bpftool cgroup show %s' lists them",
			path, path);
	if (!link)
		return refuse(refusal, errno,
			"cannot attach a program to %s (%s); the kernel needs CONFIG_CGROUP_BPF, and accepts at most 64 programs of a type",
			path, errno_name(errno));
	*ret = link;
	return 0;
}

static int attach_all(
	struct listen *programs, const struct hooks_manner *manner, int cgroup, struct refusal *refusal)
{
	int r;

	if (manner->pins)
		r = attach_program(programs->progs.listen_tcp_early, cgroup, manner->cgroup,
			&programs->links.listen_tcp_early, refusal);
	else
		r = attach_program(programs->progs.listen_tcp, cgroup, manner->cgroup,
			&programs->links.listen_tcp, refusal);
	if (!r)
		r = attach_program(programs->progs.bound_udp4, cgroup, manner->cgroup,
			&programs->links.bound_udp4, refusal);
	if (!r)
		r = attach_program(programs->progs.bound_udp6, cgroup, manner->cgroup,
			&programs->links.bound_udp6, refusal);
	return r;
}

static int on_record(void *userdata, void *record, size_t size)
{
	struct hooks *hooks = userdata;

	if (listen_record_check(record, size))
		hooks->function(record, hooks->userdata);
	return ++hooks->n_read < READ_MAX ? 0
					  : -EAGAIN; /* the remaining records keep the descriptor readable */
}

int hooks_new(const struct hooks_manner *manner, struct hooks **ret, struct refusal *refusal)
{
	_cleanup_(hooks_freep) struct hooks *hooks = calloc(1, sizeof(*hooks));
	_cleanup_close_ int cgroup = -1;
	int r;

	if (!hooks)
		return -ENOMEM;
	*hooks = (struct hooks){.function = manner->function, .userdata = manner->userdata};
	hooks->programs = listen__open();
	if (!hooks->programs)
		return -errno;
	r = choose_programs(hooks->programs, manner->pins, refusal);
	if (!r)
		r = open_cgroup(manner->cgroup, &cgroup, refusal);
	if (!r)
		r = load_hooks(hooks->programs, manner, cgroup, refusal);
	if (r)
		return r;
	hooks->ring = ring_buffer__new(bpf_map__fd(hooks->programs->maps.listens), on_record, hooks, NULL);
	if (!hooks->ring)
		return -errno;
	r = attach_all(hooks->programs, manner, cgroup, refusal);
	if (r)
		return r;
	*ret = TAKE_PTR(hooks);
	return 0;
}

struct hooks *hooks_free(struct hooks *hooks)
{
	if (!hooks)
		return NULL;
	ring_buffer__free(hooks->ring);
	listen__destroy(hooks->programs);
	free(hooks);
	return NULL;
}

/* The program reads the table meanwhile, so entries that stay are not written. */
static void replace(uint8_t *table, const uint8_t *next)
{
	for (size_t port = 0; port < USHER_WANTED_PORTS; port++)
		if (table[port] != next[port])
			__atomic_store_n(&table[port], next[port], __ATOMIC_RELAXED);
}

int hooks_want(struct hooks *hooks, const struct usher_wanted *wanted, size_t n)
{
	_cleanup_free_ uint8_t *tcp = calloc(2, USHER_WANTED_PORTS);
	uint8_t *udp = tcp + USHER_WANTED_PORTS;

	if (!tcp)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		(wanted[i].protocol == IPPROTO_UDP ? udp : tcp)[wanted[i].port] = USHER_PORT_WANTED;
	replace(hooks->programs->bss->wanted_tcp, tcp);
	replace(hooks->programs->bss->wanted_udp, udp);
	return 0;
}

static void want_again(uint8_t *port)
{
	if (*port == USHER_PORT_TOLD)
		__atomic_store_n(port, USHER_PORT_WANTED, __ATOMIC_SEQ_CST);
}

void hooks_want_again(struct hooks *hooks, uint8_t protocol, uint16_t port)
{
	struct listen__bss *data = hooks->programs->bss;

	if (port) {
		want_again(&(protocol == IPPROTO_UDP ? data->wanted_udp : data->wanted_tcp)[port]);
		return;
	}
	for (size_t i = 0; i < USHER_WANTED_PORTS; i++) {
		want_again(&data->wanted_tcp[i]);
		want_again(&data->wanted_udp[i]);
	}
}

int hooks_fd(const struct hooks *hooks)
{
	return ring_buffer__epoll_fd(hooks->ring);
}

void hooks_read(struct hooks *hooks)
{
	hooks->n_read = 0;
	(void)ring_buffer__poll(hooks->ring, 0);
}

uint64_t hooks_lost(const struct hooks *hooks)
{
	return __atomic_load_n(&hooks->programs->bss->lost, __ATOMIC_RELAXED);
}

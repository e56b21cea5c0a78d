/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../util/macro.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int try_bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
	_cleanup_close_ int fd = (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));

	return fd < 0 ? -errno : 0;
}

int kernel_try_map(uint32_t type)
{
	union bpf_attr attributes = {.map_type = type, .key_size = 4, .value_size = 8, .max_entries = 1};

	if (type == BPF_MAP_TYPE_RINGBUF) {
		attributes.key_size = attributes.value_size = 0;
		attributes.max_entries = (uint32_t)sysconf(_SC_PAGESIZE);
	}
	return try_bpf(BPF_MAP_CREATE, &attributes);
}

int kernel_try_program(void)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
		.expected_attach_type = BPF_SK_LOOKUP,
		.insns = (uint64_t)(uintptr_t)code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uint64_t)(uintptr_t) "BSD",
	};

	return try_bpf(BPF_PROG_LOAD, &attributes);
}

int kernel_try_peer_pidfd(void)
{
	_cleanup_close_ int one = -1, other = -1, pidfd = -1;
	socklen_t size = sizeof(pidfd);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	one = pair[0];
	other = pair[1];
	return getsockopt(one, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0 ? -errno : 0;
}

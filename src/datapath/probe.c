/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../util/errno_name.h"
#include "../util/macro.h"

/* More than libbpf and the kernel's verifier have open at a time to load a program. */
#define PROBE_DESCRIPTORS 16

/* libbpf asks the kernel what it can do, and takes it for an answer when there is no descriptor for the question. */
static bool is_short_of_descriptors(void)
{
	int fds[PROBE_DESCRIPTORS], n = 0;
	bool is_short;

	while (n < PROBE_DESCRIPTORS && (fds[n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
		n++;
	is_short = n < PROBE_DESCRIPTORS && errno == EMFILE;
	while (n > 0)
		(void)close(fds[--n]);
	return is_short;
}

int probe_explain(int error, struct refusal *refusal)
{
	static const struct {
		enum bpf_map_type type;
		const char *text;
	} maps[] = {
		{BPF_MAP_TYPE_SOCKMAP, "SOCKMAP (CONFIG_NET_SOCK_MSG, CONFIG_INET)"},
		{BPF_MAP_TYPE_SOCKHASH, "SOCKHASH (CONFIG_NET_SOCK_MSG, CONFIG_INET)"},
		{BPF_MAP_TYPE_RINGBUF, "RINGBUF"},
	};

	if (error == -EPERM)
		return refuse(refusal, EPERM,
			"the kernel does not permit loading BPF programs and maps (EPERM); usherd needs CAP_BPF and CAP_NET_ADMIN, and a system call filter must allow bpf(2)");
	if (error != -ENOMEM && error != -ENFILE && is_short_of_descriptors())
		error = -EMFILE;
	/* not a missing feature, and the probes below would fail for the same reason */
	if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
		return refuse(refusal, -error,
			"there is not enough %s to load the dispatcher (%s); give usherd more, or reduce the number of rules and held sockets",
			error == -ENOMEM ? "memory" : "room for open files", errno_name(-error));
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_LOOKUP, NULL) == 0)
		return refuse(refusal, ENOSYS,
			"this kernel cannot load sk_lookup programs (ENOSYS); usher needs Linux 6.1 with CONFIG_BPF_SYSCALL and CONFIG_INET");
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (libbpf_probe_bpf_map_type(maps[i].type, NULL) == 0)
			return refuse(refusal, ENOSYS,
				"this kernel has no BPF maps of the type %s (ENOSYS); usher needs Linux 6.1",
				maps[i].text);
	return refuse(refusal, -error,
		"the kernel refused the dispatcher (%s); usher needs Linux 6.1, and 'bpftool prog load' of dispatch.bpf.o shows the messages of the verifier",
		errno_name(-error));
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "../util/errno_name.h"
#include "../util/macro.h"

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

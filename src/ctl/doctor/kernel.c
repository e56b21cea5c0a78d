/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel can do. Features are tried: distributors add and remove them whatever the version number says. */

#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../util/errno_name.h"
#include "../../util/netns.h"
#include "../complain.h"
#include "../host/kernel.h"
#include "doctor.h"

#define MAJOR_MIN 6
#define MINOR_MIN 1

#define SECURITYFS "/sys/kernel/security"
#define LOCKDOWN SECURITYFS "/lockdown"

static void check_version(struct doctor *doctor)
{
	unsigned major = 0, minor = 0;
	struct utsname name = {};

	(void)uname(&name);
	if (sscanf(name.release, "%u.%u", &major, &minor) != 2)
		doctor_found(doctor, REPORT_INFO, "Linux %s, a version that usherctl does not understand",
			name.release);
	else if (major > MAJOR_MIN || (major == MAJOR_MIN && minor >= MINOR_MIN))
		doctor_found(doctor, REPORT_OK, "Linux %s", name.release);
	else {
		doctor_found(doctor, REPORT_FAIL, "this is Linux %s, but usher needs %d.%d or newer",
			name.release, MAJOR_MIN, MINOR_MIN);
		doctor_remedy(doctor, "boot a newer kernel");
	}
}

/* It happens to root too: in a container, or without the capabilities. */
static void skip_denied(struct doctor *doctor)
{
	doctor_found(doctor, REPORT_SKIP, "this process may not use bpf(2) (EPERM); run as root%s",
		doctor->root ? ", with CAP_BPF and CAP_NET_ADMIN" : "");
}

static void check_maps(struct doctor *doctor)
{
	static const struct {
		enum bpf_map_type type;
		const char *name, *remedy;
	} maps[] = {
		{BPF_MAP_TYPE_SOCKHASH, "SOCKHASH",
			"use a kernel with CONFIG_BPF_SYSCALL, CONFIG_INET and CONFIG_NET_SOCK_MSG"},
		{BPF_MAP_TYPE_SOCKMAP, "SOCKMAP",
			"use a kernel with CONFIG_BPF_SYSCALL, CONFIG_INET and CONFIG_NET_SOCK_MSG"},
		{BPF_MAP_TYPE_RINGBUF, "RINGBUF", "use a kernel with CONFIG_BPF_SYSCALL"},
	};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		int r = kernel_try_map(maps[i].type);

		if (r == -EPERM) {
			skip_denied(doctor);
			return;
		}
		if (r == 0)
			continue;
		good = false;
		doctor_found(doctor, REPORT_FAIL, "a BPF map of type %s cannot be created: %s (%s)",
			maps[i].name, errno_text(-r), errno_name(-r));
		doctor_remedy(doctor, "%s", maps[i].remedy);
	}
	if (good)
		doctor_found(
			doctor, REPORT_OK, "BPF maps of types SOCKHASH, SOCKMAP and RINGBUF can be created");
}

static void check_program(struct doctor *doctor)
{
	int r = kernel_try_program();

	if (r == -EPERM)
		skip_denied(doctor);
	else if (r == 0)
		doctor_found(doctor, REPORT_OK, "sk_lookup programs can be loaded");
	else {
		doctor_found(doctor, REPORT_FAIL, "an sk_lookup program cannot be loaded: %s (%s)",
			errno_text(-r), errno_name(-r));
		doctor_remedy(
			doctor, "use a kernel of Linux 6.1 or newer with CONFIG_BPF_SYSCALL and CONFIG_INET");
	}
}

static void check_netns_cookie(struct doctor *doctor)
{
	struct refusal refusal;
	uint64_t cookie;
	int r = netns_read_cookie(&cookie, &refusal);

	if (r == 0) {
		doctor_found(doctor, REPORT_OK, "network namespaces have cookies (SO_NETNS_COOKIE)");
		return;
	}
	doctor_found(doctor, REPORT_FAIL, "the network namespace of a socket cannot be determined: %s",
		r < 0 ? errno_text(-r) : refusal.text);
	doctor_remedy(doctor, "boot a newer kernel");
}

static void check_peer_pidfd(struct doctor *doctor)
{
	int r = kernel_try_peer_pidfd();

	if (r == 0)
		doctor_found(doctor, REPORT_OK, "clients are identified by pidfd (SO_PEERPIDFD)");
	else
		doctor_found(doctor, REPORT_INFO,
			"no SO_PEERPIDFD before Linux 6.5 (%s): clients are identified by pid, which another process may get later (VERIFIED=no)",
			errno_name(-r));
}

static void check_sock_diag(struct doctor *doctor)
{
	if (!doctor->dump.r) {
		doctor_found(
			doctor, REPORT_OK, "sock_diag lists the listening sockets: %zu", doctor->n_sockets);
		return;
	}
	doctor_found(doctor, REPORT_WARN, "%s", doctor->dump.why.text);
	doctor_remedy(doctor, "modprobe -a tcp_diag udp_diag; without them nothing is discovered");
}

static void check_btf(struct doctor *doctor)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	if (access(path, F_OK) == 0) {
		doctor_found(doctor, REPORT_OK, "the kernel describes its types (%s)", path);
		return;
	}
	doctor_found(doctor, doctor->discovers ? REPORT_WARN : REPORT_INFO,
		"there is no %s: usher-discover has to read /proc to find the owners of sockets, which is slower",
		path);
	if (doctor->discovers)
		doctor_remedy(doctor, "use a kernel with CONFIG_DEBUG_INFO_BTF");
}

static bool is_securityfs(void)
{
	struct statfs fs;

	return statfs(SECURITYFS, &fs) == 0 && fs.f_type == SECURITYFS_MAGIC;
}

static void check_lockdown(struct doctor *doctor)
{
	char text[128];
	int r = doctor_read(LOCKDOWN, text, sizeof(text));

	if (r == -ENOENT && is_securityfs())
		doctor_found(doctor, REPORT_OK, "this kernel has no lockdown");
	else if (r < 0)
		doctor_found(doctor, REPORT_SKIP,
			"whether the kernel is locked down was not looked at: %s cannot be read (%s); %s",
			LOCKDOWN, errno_name(-r),
			r == -ENOENT ? "mount -t securityfs securityfs " SECURITYFS : "run as root");
	else if (strstr(text, "[none]"))
		doctor_found(doctor, REPORT_OK, "the kernel is not locked down");
	else if (!strstr(text, "[confidentiality]"))
		doctor_found(doctor, REPORT_OK,
			"the kernel is locked down (integrity), which does not affect usher");
	else {
		doctor_found(doctor, doctor->discovers ? REPORT_WARN : REPORT_INFO,
			"the kernel is locked down (confidentiality): BPF programs may not read kernel memory, so the kernel may refuse those of usher-discover");
		if (doctor->discovers)
			doctor_remedy(
				doctor, "lower ScanInterval= in [Discover], or boot with lockdown=integrity");
	}
}

static void check_unprivileged(struct doctor *doctor)
{
	char text[32];

	if (doctor_read("/proc/sys/kernel/unprivileged_bpf_disabled", text, sizeof(text)) < 0)
		doctor_found(doctor, REPORT_INFO,
			"unknown: there is no /proc/sys/kernel/unprivileged_bpf_disabled");
	else if (strcmp(text, "0") == 0)
		doctor_found(doctor, REPORT_INFO,
			"any user may call bpf(2) (kernel.unprivileged_bpf_disabled=0); usher does not need that");
	else
		doctor_found(doctor, REPORT_OK,
			"only privileged users may call bpf(2) (kernel.unprivileged_bpf_disabled=%s)", text);
}

const struct check kernel_checks[] = {
	{"version", check_version},
	{"maps", check_maps},
	{"program", check_program},
	{"netns-cookie", check_netns_cookie},
	{"peer-pidfd", check_peer_pidfd},
	{"sock-diag", check_sock_diag},
	{"btf", check_btf},
	{"lockdown", check_lockdown},
	{"unprivileged-bpf", check_unprivileged},
	{},
};

/* SPDX-License-Identifier: BSD-3-Clause */

/* What the broker needs from the host: file systems, capabilities, descriptors */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../../util/proc.h"
#include "../complain.h"
#include "doctor.h"

#define BPFFS "/sys/fs/bpf"
#define DESCRIPTORS_PERCENT 80

static void check_bpffs(struct doctor *doctor)
{
	struct statvfs flags;
	struct statfs fs;

	if (statfs(BPFFS, &fs) < 0 || statvfs(BPFFS, &flags) < 0) {
		doctor_found(doctor, REPORT_FAIL, "%s cannot be examined: %s (%s)", BPFFS, errno_text(errno),
			errno_name(errno));
		doctor_remedy(doctor, "mount -t sysfs sysfs /sys && mount -t bpf bpf " BPFFS);
	} else if (fs.f_type != BPF_FS_MAGIC) {
		doctor_found(doctor, REPORT_FAIL, "no BPF file system is mounted on %s", BPFFS);
		doctor_remedy(doctor, "mount -t bpf bpf " BPFFS);
	} else if (flags.f_flag & ST_RDONLY) {
		doctor_found(
			doctor, REPORT_FAIL, "%s is mounted read-only: no rules can be put in force", BPFFS);
		doctor_remedy(doctor, "mount -o remount,rw " BPFFS);
	} else
		doctor_found(doctor, REPORT_OK, "a BPF file system is mounted on %s", BPFFS);
}

static void check_pins_folder(struct doctor *doctor)
{
	const char *path = doctor->instance.pins;
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			doctor_found(doctor, REPORT_INFO, "there is no %s", path);
		else
			doctor_found(doctor, REPORT_SKIP, "%s cannot be examined (%s); run as root", path,
				errno_name(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		doctor_found(doctor, REPORT_FAIL, "%s is not a directory, but usherd needs one there", path);
		doctor_remedy(doctor, "rm %s", path);
	} else if (st.st_uid != 0) {
		doctor_found(doctor, REPORT_FAIL, "%s belongs to uid %u: usherd refuses to use it", path,
			st.st_uid);
		doctor_remedy(doctor, "chown 0:0 %s", path);
	} else if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		doctor_found(doctor, REPORT_FAIL,
			"%s is writable by others (mode %04o): usherd refuses to use it", path,
			st.st_mode & 07777);
		doctor_remedy(doctor, "chmod go-w %s", path);
	} else
		doctor_found(doctor, REPORT_OK, "only root can write to %s", path);
}

static void check_cgroup2(struct doctor *doctor)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096], where[4096];
	bool seen = false;

	while (mounts && !seen && fgets(line, sizeof(line), mounts))
		seen = strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1;
	if (mounts)
		(void)fclose(mounts);
	if (seen) {
		doctor_found(doctor, REPORT_OK, "a cgroup2 file system is mounted on %s", where);
		return;
	}
	doctor_found(doctor, doctor->discovers ? REPORT_WARN : REPORT_INFO,
		"no cgroup2 file system is mounted: usher-discover cannot be notified of new listeners, and scans for them");
	if (doctor->discovers)
		doctor_remedy(doctor,
			"mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1");
}

/* Return: the effective capabilities of a process, or 0 when they cannot be read. */
static uint64_t read_capabilities(const char *process)
{
	_cleanup_(proc_status_deinit) struct proc_status status = {.n_groups = 0};
	_cleanup_free_ char *text = NULL;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/status", process);
	return proc_read(AT_FDCWD, path, &text) == 0 && proc_parse_status(text, &status) == 0
		       ? status.capabilities
		       : 0;
}

static bool has(uint64_t set, unsigned capability)
{
	return set & (UINT64_C(1) << capability);
}

/* "CAP_BPF and CAP_NET_ADMIN", or "" */
static const char *missing_capabilities(uint64_t set)
{
	bool bpf = has(set, CAP_BPF) || has(set, CAP_SYS_ADMIN), net = has(set, CAP_NET_ADMIN);

	if (bpf)
		return net ? "" : "CAP_NET_ADMIN";
	return net ? "CAP_BPF" : "CAP_BPF and CAP_NET_ADMIN";
}

static void check_own_capabilities(struct doctor *doctor)
{
	const char *missing = missing_capabilities(read_capabilities("self"));

	if (!*missing)
		doctor_found(doctor, REPORT_OK,
			"usherctl has CAP_BPF and CAP_NET_ADMIN, which it needs only for doctor");
	else
		doctor_found(doctor, REPORT_INFO,
			"usherctl lacks %s, which it needs only to see everything here", missing);
}

/* The child of usherd that loads programs. Return: its pid, or 0: not visible, or a broker that has none */
static pid_t find_loader(pid_t usherd)
{
	_cleanup_free_ char *children = NULL;
	char path[64], *at, *word;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", usherd, usherd);
	if (proc_read(AT_FDCWD, path, &children) < 0)
		return 0;
	for (word = strtok_r(children, " ", &at); word; word = strtok_r(NULL, " ", &at)) {
		_cleanup_free_ char *name = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%.16s/comm", word);
		if (proc_read(AT_FDCWD, path, &name) == 0 && strcmp(name, "usherd-loader\n") == 0)
			return atoi(word);
	}
	return 0;
}

static void check_capabilities(struct doctor *doctor)
{
	char process[32];
	pid_t loader;
	uint64_t set;

	if (doctor->answer.r) {
		doctor_found(doctor, REPORT_SKIP, "there is no broker to examine");
		return;
	}
	loader = doctor->pid ? find_loader(doctor->pid) : 0;
	(void)snprintf(process, sizeof(process), "%d", loader ? loader : doctor->pid);
	set = doctor->pid ? read_capabilities(process) : 0;
	if (!doctor->pid)
		doctor_found(doctor, REPORT_SKIP, "the broker's process is not visible here");
	else if (!*missing_capabilities(set) && loader)
		doctor_found(doctor, REPORT_OK, "the loader of usherd (pid %d) has CAP_BPF and CAP_NET_ADMIN",
			loader);
	else if (!*missing_capabilities(set))
		doctor_found(doctor, REPORT_OK, "usherd (pid %d) has CAP_BPF and CAP_NET_ADMIN", doctor->pid);
	else {
		doctor_found(doctor, REPORT_FAIL, "usherd (pid %d) lacks %s: it cannot put rules in force",
			doctor->pid, missing_capabilities(set));
		doctor_remedy(doctor,
			"start it as root, with CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN in its unit");
	}
}

static void check_descriptors(struct doctor *doctor)
{
	unsigned long used, most;

	if (doctor->answer.r) {
		doctor_found(doctor, REPORT_SKIP, "there is no broker to ask");
		return;
	}
	used = doctor_number(doctor, KEY_FDS);
	most = doctor_number(doctor, KEY_FDS_MAX);
	if (!used || !most)
		doctor_found(
			doctor, REPORT_INFO, "the broker does not report how many descriptors it has open");
	else if (used * 100 < most * DESCRIPTORS_PERCENT)
		doctor_found(doctor, REPORT_OK, "usherd has %lu of %lu descriptors open", used, most);
	else {
		doctor_found(doctor, REPORT_WARN,
			"usherd has %lu of %lu descriptors open: it may soon be unable to accept clients and to hold sockets",
			used, most);
		doctor_remedy(doctor, "raise LimitNOFILE= in its unit (ulimit -n), and restart it");
	}
}

const struct check host_checks[] = {
	{"bpffs", check_bpffs},
	{"pins-folder", check_pins_folder},
	{"cgroup2", check_cgroup2},
	{"own-capabilities", check_own_capabilities},
	{"capabilities", check_capabilities},
	{"descriptors", check_descriptors},
	{},
};

/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
#pragma once

/*
 * The few fields of the kernel's structures that the programs of usher-discover read
 *
 * These are not the layouts: libbpf finds each field in the BTF of the running kernel when it loads a program (CO-RE).
 */

#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1 of them, that of the initial namespace first */
};

struct cred {
	kuid_t euid;
};

struct kernfs_node {
	const char *name;
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* in cgroup v2 */
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	const struct cred *cred;
	struct css_set *cgroups;
};

struct sock_common {
	unsigned char skc_ipv6only : 1;
};

struct sock {
	struct sock_common __sk_common;
	kuid_t sk_uid;
};

struct inode {
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#define PID_NAMESPACES_MAX 33 /* MAX_PID_NS_LEVEL, and the initial one */

/*
 * The pid of a task's thread group in the pid namespace with this inode number; 0 when it is not visible there. Linux
 * 6.1 refuses the helper for that, bpf_get_ns_current_pid_tgid(), in these programs.
 */
static __always_inline __u32 pid_seen_in(struct task_struct *task, __u32 namespace)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	const char *numbers = (const char *)pid + bpf_core_field_offset(struct pid, numbers);
	__u32 level = BPF_CORE_READ(pid, level);

	for (__u32 i = 0; i < PID_NAMESPACES_MAX && i <= level; i++) {
		struct upid *number = (struct upid *)(numbers + i * bpf_core_type_size(struct upid));

		if (BPF_CORE_READ(number, ns, ns.inum) == namespace)
			return (__u32)BPF_CORE_READ(number, nr);
	}
	return 0;
}

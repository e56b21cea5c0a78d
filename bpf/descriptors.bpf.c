// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * Finds out for usher-discover which processes have certain sockets open
 *
 * An iterator: the kernel calls the program for every descriptor of every process of the reader's pid namespace, or of
 * one process, and what it writes is what read(2) returns.
 *
 * Sockets are identified by inode number and not by cookie: of an MPTCP listener, sock_diag(7) knows the cookie of another
 * socket, inside the kernel, than the file has. A process that takes a duplicate compares cookies anyway.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "usher-discover.h"

/* What is left in it from the last time is no harm: user space knows what it looks for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* user space makes it as large as it needs */
	__type(key, __u32);	/* inode number */
	__type(value, __u8);
} inodes SEC(".maps");

/* Of usher-discover: the inode number of the pid namespace. */
const volatile __u32 pid_namespace;

SEC("iter/task_file")
int find_openers(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct usher_opener opener;

	if (!task || !file)
		return 0; /* the end */
	/* the descriptors of a thread that has a table of its own are out of reach of pidfd_getfd(2) */
	if (task->pid != task->tgid)
		return 0;
	if (!bpf_sock_from_file(file))
		return 0; /* no socket: inode numbers are unique within a file system only */
	opener.inode = (__u32)file->f_inode->i_ino;
	if (!bpf_map_lookup_elem(&inodes, &opener.inode))
		return 0;
	opener.pid = pid_seen_in(task, pid_namespace);
	opener.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &opener, sizeof(opener));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

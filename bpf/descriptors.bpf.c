// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * Finds for usher-discover which processes have certain sockets open
 *
 * An iterator: the kernel calls the program for every descriptor of every process of the reader's pid namespace, or of
 * one process. read(2) returns what the program writes.
 *
 * Inode numbers identify the sockets, not cookies: for an MPTCP listener, sock_diag(7) shows the cookie of a socket
 * inside the kernel, which is not that of the file. A process that takes a duplicate compares cookies anyway.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "usher-discover.h"

/* Entries from earlier runs may be left in it: user space knows which sockets it looks for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* user space sets the size that it needs */
	__type(key, __u32);	/* inode number */
	__type(value, __u8);
} inodes SEC(".maps");

/* The inode number of usher-discover's pid namespace */
const volatile __u32 pid_namespace;

SEC("iter/task_file")
int find_openers(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct usher_opener opener;

	if (!task || !file)
		return 0; /* the last call */
	/* pidfd_getfd(2) cannot reach the descriptors of a thread with a table of its own */
	if (task->pid != task->tgid)
		return 0;
	if (!bpf_sock_from_file(file))
		return 0; /* not a socket: inode numbers are unique only within a file system */
	opener.inode = (__u32)file->f_inode->i_ino;
	if (!bpf_map_lookup_elem(&inodes, &opener.inode))
		return 0;
	opener.pid = pid_seen_in(task, pid_namespace);
	opener.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &opener, sizeof(opener));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

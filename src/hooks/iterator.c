/* SPDX-License-Identifier: BSD-3-Clause */
#include "iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../scan/inode_index.h"
#include "../util/macro.h"
#include "descriptors.skel.h"
#include "opener_records.h"

#define CAPACITY_MIN 256U

/*
 * It is loaded once: libbpf reads all types of the kernel to do so, which takes longer than most searches. A search
 * for more sockets than ever before loads it again. It ends with the process.
 */
static struct descriptors *loaded;
static bool absent;

static void bpf_link_destroyp(struct bpf_link **link)
{
	(void)bpf_link__destroy(*link);
}

/* Will the next attempt fail in the same way? */
static bool is_lasting(int error)
{
	return error != -ENOMEM && error != -EMFILE && error != -ENFILE && error != -EAGAIN &&
	       error != -EINTR;
}

static int load_iterator(uint32_t capacity)
{
	struct descriptors *program = descriptors__open();
	struct stat st;
	int r;

	if (!program)
		return -errno;
	r = stat("/proc/self/ns/pid", &st) < 0 ? -errno
					       : bpf_map__set_max_entries(program->maps.inodes, capacity);
	if (!r) {
		program->rodata->pid_namespace = (uint32_t)st.st_ino;
		r = descriptors__load(program);
	}
	if (r < 0) {
		descriptors__destroy(program);
		return r;
	}
	descriptors__destroy(loaded);
	loaded = program;
	return 0;
}

static int make_ready(size_t n)
{
	uint32_t capacity = loaded ? bpf_map__max_entries(loaded->maps.inodes) : CAPACITY_MIN;

	if (loaded && n <= capacity)
		return 0;
	if (n > UINT32_MAX / 2)
		return -ENOMEM;
	while (capacity < n)
		capacity *= 2;
	return load_iterator(capacity);
}

/* The inode numbers to look for, each once. Return: how many. */
static uint32_t list_inodes(const struct inode_index *index, uint32_t *inodes)
{
	uint32_t n = 0;

	for (size_t i = 0; i < index->n; i++)
		if (!n || inodes[n - 1] != index->sockets[i].inode)
			inodes[n++] = index->sockets[i].inode;
	return n;
}

static int iterate(pid_t pid, struct inode_index *index)
{
	union bpf_iter_link_info info = {.task.pid = (uint32_t)pid};
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info, .link_info_len = sizeof(info));
	_cleanup_(bpf_link_destroyp) struct bpf_link *link =
		bpf_program__attach_iter(loaded->progs.find_openers, pid ? &options : NULL);
	_cleanup_close_ int iterator = -1;

	if (!link)
		return -errno;
	iterator = bpf_iter_create(bpf_link__fd(link));
	return iterator < 0 ? -errno : opener_records_read(iterator, index);
}

static int search(struct inode_index *index, pid_t pid)
{
	_cleanup_free_ uint32_t *inodes = calloc(index->n + 1, sizeof(*inodes));
	_cleanup_free_ uint8_t *values = calloc(index->n + 1, sizeof(*values));
	uint32_t n, n_done;
	int r;

	if (!inodes || !values)
		return -ENOMEM;
	n = n_done = list_inodes(index, inodes);
	if (n && bpf_map_update_batch(bpf_map__fd(loaded->maps.inodes), inodes, values, &n_done, NULL) < 0)
		return -errno;
	r = iterate(pid, index);
	n_done = n;
	if (n && bpf_map_delete_batch(bpf_map__fd(loaded->maps.inodes), inodes, &n_done, NULL) < 0 && !r)
		r = -errno;
	return r;
}

int iterator_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret)
{
	_cleanup_(inode_index_deinit) struct inode_index index = {.n = 0};
	int r;

	if (absent)
		return OPENERS_ABSENT;
	r = make_ready(n);
	if (r < 0 && is_lasting(r)) {
		absent = true;
		return OPENERS_ABSENT;
	}
	if (!r)
		r = inode_index_init(&index, sockets, n);
	if (!r)
		r = search(&index, pid);
	if (r < 0)
		return r;
	inode_index_take(&index, ret);
	return 0;
}

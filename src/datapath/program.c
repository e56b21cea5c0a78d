/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "dispatch.skel.h"
#include "probe.h"

static void dispatch_destroyp(struct dispatch **program)
{
	dispatch__destroy(*program);
}

static uint32_t relocate(uint32_t word, const uint32_t *numbers)
{
	if (!word || word & USHER_WORD_NODE)
		return word;
	return (word & ~USHER_WORD_SEAT) | numbers[word & USHER_WORD_SEAT];
}

static void fill_ports(struct dispatch *program, const struct image *image, const uint32_t *numbers)
{
	/* the global data is mapped by the skeleton; it is all zero, and untouched pages stay shared zeros */
	for (size_t table = 0; table < USHER_TABLES; table++)
		for (size_t port = 0; port < USHER_PORTS; port++)
			if (image->ports[table][port])
				program->bss->ports[table][port] =
					relocate(image->ports[table][port], numbers);
}

/* Mapped, not updated: a system call for each would take half a second for a million prefixes. */
static int fill_nodes(struct dispatch *program, const struct tree_nodes *tree, const uint32_t *numbers)
{
	size_t size = tree->n * sizeof(struct usher_node);
	struct usher_node *nodes;

	if (!tree->n)
		return 0;
	nodes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(program->maps.nodes), 0);
	if (nodes == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < tree->n; i++) {
		struct usher_node node = tree->nodes[i];

		for (size_t k = 0; k < USHER_NODE_RANGES; k++)
			node.words[k] = relocate(node.words[k], numbers);
		nodes[i] = node;
	}
	(void)munmap(nodes, size);
	return 0;
}

int program_load(const struct registry *registry, const struct image *image, const uint32_t *numbers,
	int *ret, struct question *question, struct refusal *refusal)
{
	_cleanup_(dispatch_destroyp) struct dispatch *program = dispatch__open();
	_cleanup_(question_deinit) struct question own = QUESTION_NULL;
	int fd, r;

	if (!program)
		return -errno;
	r = bpf_map__set_max_entries(program->maps.nodes, image->nodes.n ? (uint32_t)image->nodes.n : 1);
	if (r < 0)
		return r;
	r = registry_share(registry, program);
	if (r < 0)
		return r;
	r = dispatch__load(program);
	if (r < 0)
		return probe_explain(r, refusal);
	fill_ports(program, image, numbers);
	r = fill_nodes(program, &image->nodes, numbers);
	if (r < 0)
		return r;
	own.program = fcntl(bpf_program__fd(program->progs.usher_question), F_DUPFD_CLOEXEC, 3);
	own.answers = fcntl(bpf_map__fd(program->maps.answers), F_DUPFD_CLOEXEC, 3);
	fd = fcntl(bpf_program__fd(program->progs.usher_dispatch), F_DUPFD_CLOEXEC, 3);
	if (own.program < 0 || own.answers < 0 || fd < 0) {
		closep(&fd);
		return -EMFILE;
	}
	*ret = fd;
	*question = own;
	own = QUESTION_NULL;
	return 0;
}

int program_read_id(int program, uint32_t *ret)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &size) < 0)
		return -errno;
	*ret = info.id;
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "../util/macro.h"
#include "dispatch.skel.h"
#include "probe.h"

static void dispatch_destroyp(struct dispatch **program)
{
	dispatch__destroy(*program);
}

/* The highest of all seats; the words above are nodes. */
static uint32_t last_seat(const struct image *image, const uint32_t *numbers)
{
	uint32_t last = 0;

	for (size_t i = 1; i < image->n_seats; i++)
		if (numbers[i] > last)
			last = numbers[i];
	return last;
}

static uint32_t relocate(uint32_t word, const uint32_t *numbers, uint32_t first_node)
{
	return word & TREE_WORD_NODE ? first_node + (word & ~TREE_WORD_NODE) : numbers[word];
}

static void fill_data(struct dispatch *program, const struct image *image, const uint32_t *numbers)
{
	/* the skeleton maps the global data; it is all zero, and untouched pages stay the shared zero page */
	for (size_t i = 0; i < USHER_TABLES * USHER_PORTS; i++)
		if (image->ports[i / USHER_PORTS][i % USHER_PORTS])
			program->bss->ports[1 + i] = relocate(image->ports[i / USHER_PORTS][i % USHER_PORTS],
				numbers, program->rodata->first_node);
	for (size_t i = 1; i < image->n_seats; i++)
		program->bss->passes[numbers[i]] = image->seats[i].pass;
}

/* The nodes are written through a mapping: one system call for each would take half a second for a million prefixes. */
static int fill_nodes(struct dispatch *program, const struct tree_nodes *tree, const uint32_t *numbers)
{
	uint32_t first_node = program->rodata->first_node;
	size_t size = (first_node + tree->n) * sizeof(struct usher_node);
	struct usher_node *nodes;

	if (!tree->n)
		return 0;
	nodes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(program->maps.nodes), 0);
	if (nodes == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < tree->n; i++) {
		struct usher_node node = tree->nodes[i];

		for (size_t k = 0; k < USHER_NODE_RANGES; k++)
			node.words[k] = relocate(node.words[k], numbers, first_node);
		nodes[first_node + i] = node;
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
	program->rodata->first_node = last_seat(image, numbers) + 1;
	r = bpf_map__set_max_entries(
		program->maps.nodes, program->rodata->first_node + (uint32_t)image->nodes.n);
	if (r < 0)
		return r;
	r = registry_share(registry, program);
	if (r < 0)
		return r;
	r = dispatch__load(program);
	if (r < 0)
		return probe_explain(r, refusal);
	fill_data(program, image, numbers);
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

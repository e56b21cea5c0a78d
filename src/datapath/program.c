/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../util/macro.h"
#include "dispatch.skel.h"
#include "loader.h"
#include "obstacles.h"

/* The words of seats, by local number */
static uint32_t *make_words(const struct image *image, const uint32_t *numbers)
{
	uint32_t *words = calloc(image->n_seats + 1, sizeof(*words));

	for (size_t i = 1; i < image->n_seats && words; i++)
		words[i] = numbers[i] + (image->seats[i].order ? USHER_SEATS_MAX : 0);
	return words;
}

/* The highest of them; the words above are nodes. */
static uint32_t last_word(const struct image *image, const uint32_t *words)
{
	uint32_t last = 0;

	for (size_t i = 1; i < image->n_seats; i++)
		if (words[i] > last)
			last = words[i];
	return last;
}

static uint32_t relocate(uint32_t word, const uint32_t *words, uint32_t first_node)
{
	return word & TREE_WORD_NODE ? first_node + (word & ~TREE_WORD_NODE) : words[word];
}

static int fill_tables(int map, const struct image *image, const uint32_t *numbers, const uint32_t *words,
	uint32_t first_node)
{
	/* they are all zero, and pages that nobody writes stay the shared zero page */
	struct dispatch__bss *tables =
		mmap(NULL, sizeof(*tables), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);

	if (tables == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < USHER_TABLES * USHER_PORTS; i++)
		if (image->ports[i / USHER_PORTS][i % USHER_PORTS])
			tables->ports[1 + i] =
				relocate(image->ports[i / USHER_PORTS][i % USHER_PORTS], words, first_node);
	for (size_t i = 1; i < image->n_seats; i++) {
		tables->passes[numbers[i]] = image->seats[i].pass;
		if (image->seats[i].order)
			tables->laters[1 + numbers[i]] =
				(struct usher_later){.seat = numbers[i], .order = image->seats[i].order};
	}
	(void)munmap(tables, sizeof(*tables));
	return 0;
}

/* The nodes are written through a mapping: one system call for each would take half a second for a million prefixes. */
static int fill_nodes(int map, const struct tree_nodes *tree, const uint32_t *words, uint32_t first_node)
{
	size_t size = (first_node + tree->n) * sizeof(struct usher_node);
	struct usher_node *nodes;

	if (!tree->n)
		return 0;
	nodes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (nodes == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < tree->n; i++) {
		struct usher_node node = tree->nodes[i];

		for (size_t k = 0; k < USHER_NODE_RANGES; k++)
			node.words[k] = relocate(node.words[k], words, first_node);
		nodes[first_node + i] = node;
	}
	(void)munmap(nodes, size);
	return 0;
}

int program_load(const struct registry *registry, const struct obstacles *obstacles,
	const struct image *image, const uint32_t *numbers, int *ret, struct question *question,
	struct refusal *refusal)
{
	_cleanup_(objects_program_deinit) struct objects_program program = OBJECTS_PROGRAM_NULL;
	_cleanup_free_ uint32_t *words = make_words(image, numbers);
	int maps[REGISTRY_MAPS + OBJECTS_DISPATCHER_OBSTACLES], r;
	struct objects_sizes sizes;

	if (!words)
		return -ENOMEM;
	sizes = (struct objects_sizes){
		.first_node = last_word(image, words) + 1,
		.n_nodes = (uint32_t)image->nodes.n,
		.has_later = obstacles != NULL,
	};
	memcpy(maps, registry->maps, sizeof(registry->maps));
	if (obstacles)
		memcpy(maps + REGISTRY_MAPS, obstacles->objects.maps,
			OBJECTS_DISPATCHER_OBSTACLES * sizeof(*maps));
	r = loader_load(&sizes, maps, &program);
	if (r < 0)
		return loader_explain(r, refusal);
	r = fill_tables(program.fds[OBJECTS_TABLES], image, numbers, words, sizes.first_node);
	if (!r)
		r = fill_nodes(program.fds[OBJECTS_NODES], &image->nodes, words, sizes.first_node);
	if (r)
		return r;
	question->program = TAKE_FD(program.fds[OBJECTS_QUESTION]);
	question->answers = TAKE_FD(program.fds[OBJECTS_ANSWERS]);
	*ret = TAKE_FD(program.fds[OBJECTS_DISPATCH]);
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

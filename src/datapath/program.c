/* SPDX-License-Identifier: BSD-3-Clause */
#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatch.skel.h"
#include "probe.h"

static void dispatch_destroyp(struct dispatch **program)
{
	dispatch__destroy(*program);
}

static uint32_t relocate(uint32_t word, const uint32_t *numbers)
{
	if (!word || word & USHER_WORD_CLASS)
		return word;
	return (word & ~USHER_WORD_SEAT) | numbers[word & USHER_WORD_SEAT];
}

static int size_tables(struct dispatch *program, const struct image *image)
{
	uint32_t n4 = 0, n6 = 0;
	int r;

	for (size_t i = 0; i < image->n_prefixes; i++)
		if (image->prefixes[i].prefix.family == AF_INET6)
			n6++;
		else
			n4++;
	r = bpf_map__set_max_entries(program->maps.prefixes4, n4 ? n4 : 1);
	return r < 0 ? r : bpf_map__set_max_entries(program->maps.prefixes6, n6 ? n6 : 1);
}

static int fill_prefix(
	const struct dispatch *program, const struct image_prefix *entry, const uint32_t *numbers)
{
	uint32_t word = relocate(entry->word, numbers);
	struct usher_prefix4 key4 = {.length = 32U + entry->prefix.length, .class_id = entry->class_id};
	struct usher_prefix6 key6 = {.length = 32U + entry->prefix.length, .class_id = entry->class_id};
	int r;

	if (entry->prefix.family == AF_INET6) {
		memcpy(key6.address, entry->prefix.address, sizeof(key6.address));
		r = bpf_map_update_elem(bpf_map__fd(program->maps.prefixes6), &key6, &word, BPF_NOEXIST);
	} else {
		memcpy(key4.address, entry->prefix.address, sizeof(key4.address));
		r = bpf_map_update_elem(bpf_map__fd(program->maps.prefixes4), &key4, &word, BPF_NOEXIST);
	}
	return r < 0 ? -errno : 0;
}

static int fill_tables(struct dispatch *program, const struct image *image, const uint32_t *numbers)
{
	int r = 0;

	/* the global data is mapped by the skeleton; it is all zero, and untouched pages stay shared zeros */
	for (size_t table = 0; table < USHER_TABLES; table++)
		for (size_t port = 0; port < USHER_PORTS; port++)
			if (image->ports[table][port])
				program->bss->ports[table][port] =
					relocate(image->ports[table][port], numbers);
	for (size_t i = 0; i < image->n_prefixes && !r; i++)
		r = fill_prefix(program, &image->prefixes[i], numbers);
	return r;
}

int program_load(const struct registry *registry, const struct image *image, const uint32_t *numbers,
	int *ret, struct question *question, struct refusal *refusal)
{
	_cleanup_(dispatch_destroyp) struct dispatch *program = dispatch__open();
	_cleanup_(question_deinit) struct question own = QUESTION_NULL;
	int fd, r;

	if (!program)
		return -errno;
	r = size_tables(program, image);
	if (r < 0)
		return r;
	r = registry_share(registry, program);
	if (r < 0)
		return r;
	r = dispatch__load(program);
	if (r < 0)
		return probe_explain(r, refusal);
	r = fill_tables(program, image, numbers);
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

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: attach OBJECT PROGRAM LINK [FD]    attach a program of foreign.bpf.o here, pin the link, put a socket in its map
 *        attach OBJECT PROGRAM =LINK        put the program on a link that is pinned already
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
	fprintf(stderr, "attach: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;
	uint32_t key = 0;
	uint64_t value;
	int link, netns;

	if (argc < 4)
		return 2;
	object = bpf_object__open(argv[1]);
	if (!object || bpf_object__load(object))
		return fail(argv[1]);
	program = bpf_object__find_program_by_name(object, argv[2]);
	if (!program)
		return fail(argv[2]);
	if (argc > 4) {
		value = (uint64_t)atoi(argv[4]);
		if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "chosen"), &key, &value, 0))
			return fail("socket");
	}
	if (argv[3][0] == '=') {
		link = bpf_obj_get(argv[3] + 1);
		if (link < 0 || bpf_link_update(link, bpf_program__fd(program), NULL))
			return fail("update");
		return 0;
	}
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	link = bpf_link_create(bpf_program__fd(program), netns, BPF_SK_LOOKUP, NULL);
	if (link < 0 || bpf_obj_pin(link, argv[3]))
		return fail("link");
	return 0;
}

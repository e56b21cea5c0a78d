/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: attach OBJECT PROGRAM LINK [FD]    attach a program of foreign.bpf.o, pin the link, put a socket into its map
 *        attach OBJECT PROGRAM =LINK        put the program on an existing pinned link
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

static int put_on_link(int program, const char *path)
{
	int link = bpf_obj_get(path);

	return link < 0 || bpf_link_update(link, program, NULL) ? fail("update") : 0;
}

static int attach(int program, const char *path)
{
	int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int link = bpf_link_create(program, netns, BPF_SK_LOOKUP, NULL);

	return link < 0 || bpf_obj_pin(link, path) ? fail("link") : 0;
}

static int add_socket(const struct bpf_object *object, int fd)
{
	uint64_t value = (uint64_t)fd;
	uint32_t key = 0;

	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "chosen"), &key, &value, 0)
		       ? fail("socket")
		       : 0;
}

static int use(struct bpf_object *object, char **argv)
{
	const struct bpf_program *program;

	if (bpf_object__load(object))
		return fail("load");
	program = bpf_object__find_program_by_name(object, argv[2]);
	if (!program)
		return fail(argv[2]);
	if (argv[4] && add_socket(object, atoi(argv[4])))
		return 1;
	if (argv[3][0] == '=')
		return put_on_link(bpf_program__fd(program), argv[3] + 1);
	return attach(bpf_program__fd(program), argv[3]);
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	int status;

	if (argc < 4)
		return 2;
	object = bpf_object__open(argv[1]);
	if (!object)
		return fail(argv[1]);
	status = use(object, argv);
	bpf_object__close(object);
	return status;
}

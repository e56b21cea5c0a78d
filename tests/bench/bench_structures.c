/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Nanoseconds to find the longest prefix of an address, with the structures of the kernel
 *
 * The prefixes and addresses are those of bench_lookup. The programs do nothing else: one uses an LPM trie, the other
 * a hash with a lookup for every length that occurs, longest first. Next to them is usher's program, which does its
 * full work.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/world.h"
#include "contest.h"
#include "crowd.h"
#include "samples.h"
#include "structures.skel.h"

#define CLASS 1U
#define PORT 80

static struct world world;
static struct contest contest = {
	.table = "structures",
	.programs = {{.column = "empty", .outcome = PASSES}, {.column = "LPM trie", .outcome = PASSES},
		{.column = "hash, length by length", .outcome = PASSES},
		{.column = "usher, all of it", .outcome = SELECTS}},
	.n_programs = 4,
};

static void check(const char *what, int r)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void set_lengths(struct structures *structures, const struct crowd *crowd)
{
	bool used[129] = {};

	for (size_t i = 0; i < crowd->n; i++)
		used[crowd->prefixes[i].length] = true;
	for (unsigned length = 129; length-- > 0;) {
		uint8_t mask[16] = {};
		uint32_t n = structures->rodata->n_lengths;

		if (!used[length])
			continue;
		for (unsigned bit = 0; bit < length; bit++)
			mask[bit / 8] |= (uint8_t)(0x80U >> bit % 8);
		structures->rodata->lengths[n].length = length;
		memcpy(&structures->rodata->lengths[n].high, mask, 8);
		memcpy(&structures->rodata->lengths[n].low, mask + 8, 8);
		structures->rodata->n_lengths = n + 1;
	}
}

static void fill(int trie, int hash, const struct crowd *crowd)
{
	size_t size = crowd->family == AF_INET ? 4 : 16;
	const uint32_t value = 1;

	for (size_t i = 0; i < crowd->n; i++) {
		const struct prefix *prefix = &crowd->prefixes[i];
		uint32_t trie_key[6] = {32U + prefix->length, CLASS},
			 hash_key[6] = {CLASS << 8 | prefix->length};

		memcpy(&trie_key[2], prefix->address, size);
		memcpy(&hash_key[size == 4 ? 1 : 2], prefix->address, size);
		check("trie", bpf_map_update_elem(trie, trie_key, &value, BPF_NOEXIST));
		check("hash", bpf_map_update_elem(hash, hash_key, &value, BPF_NOEXIST));
	}
}

static void measure(int family, size_t n, bool hosts, const char *row)
{
	struct structures *structures = structures__open();
	uint8_t addresses[CONTEST_ADDRESSES][16];
	struct bpf_map *trie, *hash;
	struct crowd crowd;
	int fd;

	if (!structures)
		check("open", -1);
	crowd_make(&crowd, family, contest_size(&contest, n), hosts);
	crowd_pick(&crowd, addresses, CONTEST_ADDRESSES);
	trie = family == AF_INET ? structures->maps.trie4 : structures->maps.trie6;
	hash = family == AF_INET ? structures->maps.hash4 : structures->maps.hash6;
	check("trie", bpf_map__set_max_entries(trie, (uint32_t)crowd.n));
	check("hash", bpf_map__set_max_entries(hash, (uint32_t)crowd.n));
	set_lengths(structures, &crowd);
	check("load", structures__load(structures));
	fill(bpf_map__fd(trie), bpf_map__fd(hash), &crowd);
	contest.programs[1].program = bpf_program__fd(
		family == AF_INET ? structures->progs.find_trie4 : structures->progs.find_trie6);
	contest.programs[2].program = bpf_program__fd(
		family == AF_INET ? structures->progs.find_hash4 : structures->progs.find_hash6);
	fd = crowd_serve(&crowd, &world, PORT);
	contest.programs[3].program = world.generation->program;
	contest_run(&contest, row, family, addresses, PORT);
	(void)close(fd);
	crowd_free(&crowd);
	structures__destroy(structures);
}

int main(int argc, char **argv)
{
	contest.quick = samples_quick(argc, argv);
	world_enter(&world);
	contest.programs[0].program = contest_load_empty();
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		measure(family, 1, false, "1 prefix");
		measure(family, 1000, false, "1k prefixes");
		measure(family, 100000, false, "100k prefixes");
		measure(family, 1000000, false, "1M prefixes");
		measure(family, 100000, true, "100k exact addresses");
	}
	world_leave(&world);
	return 0;
}

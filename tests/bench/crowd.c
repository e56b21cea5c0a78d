/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* In percent; about as in a routing table, with hosts in addition */
static const struct {
	uint8_t length, share;
} shares4[] = {{16, 1}, {17, 1}, {18, 1}, {19, 2}, {20, 4}, {21, 4}, {22, 9}, {23, 8}, {24, 45}, {26, 3},
	{28, 3}, {29, 4}, {30, 3}, {32, 12}},
  shares6[] = {{32, 1}, {36, 2}, {40, 6}, {44, 8}, {46, 3}, {47, 3}, {48, 45}, {52, 2}, {56, 8}, {60, 2},
	  {64, 8}, {128, 12}};

static uint64_t random_state;

static uint64_t random_bits(void) /* splitmix64 */
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

static void *allocate(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory) {
		perror("memory");
		exit(1);
	}
	return memory;
}

static char *copy(const char *text)
{
	return strcpy(allocate(1, strlen(text) + 1), text);
}

static void random_address(int family, uint8_t *address)
{
	uint64_t words[2] = {random_bits(), random_bits()};

	memset(address, 0, 16);
	if (family == AF_INET) {
		memcpy(address, words, 4);
		address[0] = 10;
	} else {
		memcpy(address, words, 16);
		memcpy(address, "\x20\x01\x0d\xb8", 4);
	}
}

static uint8_t random_length(int family, bool hosts)
{
	unsigned chosen = (unsigned)(random_bits() % 100), i = 0;

	if (family == AF_INET) {
		if (hosts)
			return 32;
		for (; chosen >= shares4[i].share; i++)
			chosen -= shares4[i].share;
		return shares4[i].length;
	}
	if (hosts)
		return 128;
	for (; chosen >= shares6[i].share; i++)
		chosen -= shares6[i].share;
	return shares6[i].length;
}

static void random_prefix(int family, bool hosts, struct prefix *ret)
{
	*ret = (struct prefix){.family = (uint8_t)family, .length = random_length(family, hosts)};
	random_address(family, ret->address);
	for (unsigned bit = ret->length; bit < 128; bit++)
		ret->address[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

static int compare(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int order = memcmp(x->address, y->address, sizeof(x->address));

	return order ? order : (int)x->length - (int)y->length;
}

static size_t hash(const struct prefix *prefix)
{
	uint64_t words[2];

	memcpy(words, prefix->address, sizeof(words));
	return ((words[0] ^ words[1] << 1 ^ prefix->length) * 0x9e3779b97f4a7c15U) >> 32;
}

/* Sorting would find duplicates too, but would have to be repeated after each correction. */
void crowd_make(struct crowd *crowd, int family, size_t n, bool hosts)
{
	size_t n_slots = 2;
	uint32_t *slots; /* 0: free */

	while (n_slots < 2 * n)
		n_slots *= 2;
	slots = allocate(n_slots, sizeof(*slots));
	*crowd = (struct crowd){.family = family, .prefixes = allocate(n, sizeof(*crowd->prefixes))};
	random_state = n;
	while (crowd->n < n) {
		struct prefix *next = &crowd->prefixes[crowd->n];
		size_t slot;

		random_prefix(family, hosts, next);
		slot = hash(next) & (n_slots - 1);
		while (slots[slot] && compare(&crowd->prefixes[slots[slot] - 1], next) != 0)
			slot = (slot + 1) & (n_slots - 1);
		if (slots[slot])
			continue; /* there already */
		slots[slot] = (uint32_t)++crowd->n;
	}
	free(slots);
	qsort(crowd->prefixes, n, sizeof(*crowd->prefixes), compare);
}

void crowd_free(struct crowd *crowd)
{
	free(crowd->prefixes);
	*crowd = (struct crowd){};
}

static struct rule_set *make_rules(const struct crowd *crowd, uint16_t port)
{
	struct rule_set *set = allocate(1, sizeof(*set));
	uint8_t *owners = allocate(crowd->n, sizeof(*owners));
	size_t counts[CROWD_NAMES] = {};
	struct rule *rules[CROWD_NAMES];

	set->rules = allocate(CROWD_NAMES, sizeof(*set->rules));
	for (size_t i = 0; i < crowd->n; i++) {
		owners[i] = (uint8_t)(random_bits() % CROWD_NAMES);
		counts[owners[i]]++;
	}
	for (unsigned i = 0; i < CROWD_NAMES; i++) {
		char name[16];

		if (!counts[i])
			continue;
		(void)snprintf(name, sizeof(name), "crowd-%02u", i);
		rules[i] = &set->rules[set->n_rules++];
		*rules[i] = (struct rule){.name = copy(name),
			.path = copy(name),
			.matches = allocate(counts[i], sizeof(struct rule_match))};
	}
	for (size_t i = 0; i < crowd->n; i++) {
		struct rule *rule = rules[owners[i]];

		rule->matches[rule->n_matches++] = (struct rule_match){.protocol = IPPROTO_TCP,
			.prefix = crowd->prefixes[i],
			.first = port,
			.last = port,
			.line = (unsigned)i + 1};
	}
	free(owners);
	return set;
}

int crowd_serve(const struct crowd *crowd, struct world *world, uint16_t port)
{
	struct rule_set *set = make_rules(crowd, port);
	int fd = world_listen(IPPROTO_TCP, crowd->family);

	world_load(world, set);
	for (size_t i = 0; i < set->n_rules; i++)
		(void)world_seat_socket(
			world, world_seat(world, set->rules[i].name, IPPROTO_TCP, crowd->family), fd);
	return fd;
}

void crowd_pick(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct prefix *prefix = &crowd->prefixes[(2 * i + 1) * crowd->n / (2 * n)];

		random_address(crowd->family, addresses[i]);
		for (unsigned bit = 0; bit < prefix->length; bit++) {
			uint8_t mask = (uint8_t)(0x80U >> bit % 8);

			addresses[i][bit / 8] &= (uint8_t)~mask;
			addresses[i][bit / 8] |= prefix->address[bit / 8] & mask;
		}
	}
}

void crowd_pick_outside(const struct crowd *crowd, uint8_t (*addresses)[16], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		random_address(crowd->family, addresses[i]);
		if (crowd->family == AF_INET)
			addresses[i][0] = i % 2 ? 9 : 11;
		else
			addresses[i][3] = i % 2 ? 0xb7 : 0xb9;
	}
}

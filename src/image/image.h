/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The image: a rule set compiled to the tables that the program reads
 *
 * image_compile() is a pure function. Seats have local numbers here, 1 to n_seats - 1, in the order of the rules; the
 * data plane gives them their lasting numbers when it loads the image. Words are those of tree.h.
 *
 * Precedence: the longest address prefix wins; among equal prefixes the narrowest port range wins. If two names have
 * the same prefix, with overlapping ranges of equal width, that is a conflict. A match for any address counts as a
 * prefix of length 0 in each family.
 */

#include <stdint.h>

#include "../../bpf/usher-bpf.h"
#include "../rule/rule.h"
#include "tree.h"

struct image_seat {
	const char *name; /* belongs to the rule set that was compiled, which must live as long */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;	  /* AF_INET or AF_INET6 */
	bool pass;	  /* Missing=pass */
	uint8_t order;	  /* enum usher_order */
};

/* Ports with the same prefixes and words share a class; a class belongs to one table. */
struct image_class {
	uint32_t word;	   /* of these ports: the root of the tree of the prefixes */
	uint32_t first, n; /* its prefixes */
	unsigned table;
	struct image_digest {
		uint64_t low, high;
	} digest; /* of the prefixes and the names to which they lead */
};

struct image {
	uint32_t ports[USHER_TABLES][USHER_PORTS];
	struct image_seat *seats; /* [0] is not used */
	size_t n_seats;
	struct tree_prefix *prefixes; /* class by class */
	size_t n_listed;
	size_t n_prefixes; /* of all classes; image_recompile() does not list those of classes that it keeps */
	struct image_class *classes; /* sorted by word */
	size_t n_classes;
	struct tree_nodes nodes;
};

struct image *image_free(struct image *image);
DEFINE_CLEANUP(struct image, image_free);

/* Outcomes of image_compile() besides 0 */
enum {
	IMAGE_CONFLICT = 1, /* the problems name both places of each conflict */
	IMAGE_TOO_LARGE, /* more than USHER_SEATS_MAX - 1 seats or IMAGE_PREFIXES_MAX prefixes; a problem says so */
};

/*
 * Two million IPv4 prefixes need about 40 MB of nodes; as many IPv6 addresses with nothing in common, 400 MB. The
 * kernel makes room for a power of two of nodes, because usherd has no CAP_PERFMON, and usherd keeps a copy.
 */
#define IMAGE_PREFIXES_MAX 2000000U

/* image_compile() - Return: 0, IMAGE_CONFLICT, IMAGE_TOO_LARGE, or -ENOMEM. */
int image_compile(const struct rule_set *set, struct image **ret, struct problems *problems);

/*
 * image_recompile() - the same, reusing a previous image
 * @before_set: the set from which @before was compiled; neither is changed
 *
 * Ports keep their classes if no new or removed match concerns them. The image answers as one from image_compile()
 * would, except to image_foreach_prefix().
 */
int image_recompile(const struct rule_set *before_set, const struct image *before, const struct rule_set *set,
	struct image **ret, struct problems *problems);

/* image_forget_prefixes() - free the prefixes, which only image_foreach_prefix() needs */
void image_forget_prefixes(struct image *image);

/*
 * image_lookup() - what the program would do with a packet
 * @address: local address, network order, 4 or 16 bytes
 * @port:    local port, host order
 *
 * Return: a local seat number, or 0.
 */
uint32_t image_lookup(
	const struct image *image, int family, int protocol, const uint8_t *address, uint16_t port);

/* image_find_class() - the class of a port's word; NULL when the port needs none */
const struct image_class *image_find_class(const struct image *image, uint32_t word);

/* image_table() - USHER_TABLE_* of a family and protocol */
unsigned image_table(int family, int protocol);

/* image_port_word() - the word that the program reads first; ports of a table with equal words are treated alike */
uint32_t image_port_word(const struct image *image, int family, int protocol, uint16_t port);

/*
 * image_foreach_prefix() - call a function for every prefix for which a rule takes packets to this port
 *
 * In no order. The function gets each prefix whole, even if longer ones take parts of it. Any address is a prefix of
 * length 0.
 */
void image_foreach_prefix(const struct image *image, int family, int protocol, uint16_t port,
	void (*function)(const struct prefix *prefix, uint32_t word, void *userdata), void *userdata);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The image: a rule set compiled to the tables the program reads
 *
 * image_compile() is a pure function. Seats have local numbers here, 1 to n_seats - 1, in the order of the rules; the
 * data plane gives them their lasting numbers when it loads the image. Words are as in bpf/usher-bpf.h otherwise.
 *
 * Precedence: the longest address prefix wins; among equal prefixes the narrowest port range. The same prefix with
 * ranges of equal width that overlap, from two names, is a conflict. A match for any address counts as a prefix of
 * length 0 in each family.
 */

#include <stdint.h>

#include "../../bpf/usher-bpf.h"
#include "rule.h"

struct image_seat {
	const char *name; /* of the rule set that was compiled, which must live as long */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;	  /* AF_INET or AF_INET6 */
};

struct image_prefix {
	uint32_t class_id;
	struct prefix prefix;
	uint32_t word;
};

struct image {
	uint32_t ports[USHER_TABLES][USHER_PORTS];
	struct image_seat *seats; /* [0] is nobody's */
	size_t n_seats;
	struct image_prefix *prefixes; /* IPv4 and IPv6, any order */
	size_t n_prefixes;
	bool is_indexed;
	uint32_t n_classes; /* identifiers are 1 to n_classes, each of one table (family and protocol) */
};

struct image *image_free(struct image *image);
DEFINE_CLEANUP(struct image, image_free);

/* Outcomes of image_compile() besides 0 */
enum {
	IMAGE_CONFLICT = 1, /* the problems name both places of each conflict */
	IMAGE_TOO_LARGE, /* more than USHER_SEATS_MAX - 1 seats or IMAGE_PREFIXES_MAX prefixes; a problem says so */
};

/* Two million prefixes are about 200 MB of kernel memory. */
#define IMAGE_PREFIXES_MAX 2000000U

/* image_compile() - Return: 0, IMAGE_CONFLICT, IMAGE_TOO_LARGE, or -ENOMEM. */
int image_compile(const struct rule_set *set, struct image **ret, struct problems *problems);

/*
 * image_lookup() - what the program would do with a packet
 * @address: local address, network order, 4 or 16 bytes
 * @port:    local port, host order
 *
 * Return: a word without USHER_WORD_CLASS: 0, or a local seat number with or without USHER_WORD_PASS.
 */
uint32_t image_lookup(
	const struct image *image, int family, int protocol, const uint8_t *address, uint16_t port);

/*
 * image_index() - sort the prefixes, for whoever looks many packets up
 *
 * A lookup takes as many steps as a class has prefixes before, and a search for each of their lengths afterwards.
 */
void image_index(struct image *image);

/* image_port_word() - what the program reads first; with equal words, two ports of a family and protocol are alike */
uint32_t image_port_word(const struct image *image, int family, int protocol, uint16_t port);

/*
 * image_foreach_prefix() - call a function for every prefix that a rule takes packets to this port for
 *
 * In no order. A prefix is called whole, whatever longer ones take out of it. Any address is a prefix of length 0.
 */
void image_foreach_prefix(const struct image *image, int family, int protocol, uint16_t port,
	void (*function)(const struct prefix *prefix, uint32_t word, void *userdata), void *userdata);

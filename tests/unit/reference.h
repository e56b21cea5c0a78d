/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The reference: random rules, random packets, and the answer that docs/rules.md gives
 *
 * It shares no code with src/rule: it scans all matches, compares addresses bit by bit, and takes the longest prefix,
 * then the narrowest range. The compiled image and the program in the kernel must agree. Everything follows from the
 * seed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rule/rule.h"

#define REFERENCE_RULES_MAX 8
#define REFERENCE_MATCHES_MAX 256

struct reference_rule {
	const char *name;
	bool pass; /* Missing=pass */
};

struct reference_match {
	size_t rule;
	int protocol;	     /* IPPROTO_TCP or IPPROTO_UDP */
	int family;	     /* AF_INET, AF_INET6, or AF_UNSPEC: any address */
	uint8_t address[16]; /* without host bits */
	unsigned length;     /* 0 for any address */
	unsigned first, last;
};

struct reference {
	uint64_t random; /* state of the generator */
	struct reference_rule rules[REFERENCE_RULES_MAX];
	size_t n_rules;
	struct reference_match matches[REFERENCE_MATCHES_MAX];
	size_t n_matches;
};

struct reference_packet {
	int family, protocol;
	uint8_t address[16]; /* local address, network order */
	uint16_t port;	     /* local port */
};

/* reference_seed() - the number in $USHER_SEED, or one from the clock; prints it as a TAP comment */
uint64_t reference_seed(void);

/* reference_generate() - make random rules; about half of the sets have conflicts */
void reference_generate(struct reference *reference, uint64_t seed);

/* reference_import() - take over the rules of a set; Return: false if there are too many */
bool reference_import(struct reference *reference, const struct rule_set *set);

/* reference_write() - one rule as the text of a file, with a random spelling; to be freed */
char *reference_write(struct reference *reference, size_t rule);

/* reference_load() - write all rules and parse them; aborts if the parser refuses one. Free with rule_set_free(). */
struct rule_set *reference_load(struct reference *reference);

/* reference_has_conflict() - do two rules claim the same packets with equal precedence? */
bool reference_has_conflict(const struct reference *reference);

/* reference_remove_conflicts() - drop matches until there is no conflict, and rules without matches */
void reference_remove_conflicts(struct reference *reference);

/* reference_packet() - a random packet, mostly at the limits of the rules */
void reference_packet(struct reference *reference, struct reference_packet *ret);

/* reference_answer() - the rule that gets a packet, or NULL. There must be no conflict. */
const struct reference_rule *reference_answer(
	const struct reference *reference, const struct reference_packet *packet);

/* For the report of a failure */
void reference_print(struct reference *reference, FILE *file);
void reference_packet_print(const struct reference_packet *packet, FILE *file);

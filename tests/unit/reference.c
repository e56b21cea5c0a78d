/* SPDX-License-Identifier: BSD-3-Clause */
#undef NDEBUG
#include "reference.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rule/parse.h"

/* ---- randomness ---- */

uint64_t reference_seed(void)
{
	const char *text = getenv("USHER_SEED");
	struct timespec now;
	uint64_t seed;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 0) : (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	printf("# USHER_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64 */
static uint64_t next(struct reference *reference)
{
	uint64_t value = reference->random += 0x9e3779b97f4a7c15ULL;

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

/* 0 to n - 1 */
static unsigned pick(struct reference *reference, unsigned n)
{
	return (unsigned)(next(reference) % n);
}

static bool chance(struct reference *reference, unsigned percent)
{
	return pick(reference, 100) < percent;
}

/* ---- bits of addresses ---- */

static unsigned bits_of(int family)
{
	return family == AF_INET6 ? 128 : family == AF_INET ? 32 : 0;
}

static bool get_bit(const uint8_t *address, unsigned bit)
{
	return address[bit / 8] >> (7 - bit % 8) & 1;
}

static void set_bit(uint8_t *address, unsigned bit, bool value)
{
	uint8_t mask = (uint8_t)(1U << (7 - bit % 8));

	address[bit / 8] = (uint8_t)(value ? address[bit / 8] | mask : address[bit / 8] & ~mask);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned n)
{
	for (unsigned bit = 0; bit < n; bit++)
		if (get_bit(a, bit) != get_bit(b, bit))
			return false;
	return true;
}

/* ---- the answer ---- */

static bool match_takes(const struct reference_match *match, const struct reference_packet *packet)
{
	if (match->protocol != packet->protocol)
		return false;
	if (match->family != AF_UNSPEC && match->family != packet->family)
		return false;
	return packet->port >= match->first && packet->port <= match->last &&
	       same_bits(match->address, packet->address, match->length);
}

const struct reference_rule *reference_answer(
	const struct reference *reference, const struct reference_packet *packet)
{
	const struct reference_match *best = NULL;

	for (size_t i = 0; i < reference->n_matches; i++) {
		const struct reference_match *match = &reference->matches[i];

		if (!match_takes(match, packet))
			continue;
		if (!best || match->length > best->length ||
			(match->length == best->length &&
				match->last - match->first < best->last - best->first))
			best = match;
	}
	return best ? &reference->rules[best->rule] : NULL;
}

static bool matches_conflict(const struct reference_match *a, const struct reference_match *b)
{
	if (a->rule == b->rule || a->protocol != b->protocol)
		return false;
	if (a->family != AF_UNSPEC && b->family != AF_UNSPEC && a->family != b->family)
		return false;
	if (a->length != b->length || !same_bits(a->address, b->address, a->length))
		return false;
	return a->last - a->first == b->last - b->first && a->first <= b->last && b->first <= a->last;
}

static bool conflicts_with_another(const struct reference *reference, size_t i)
{
	for (size_t k = 0; k < reference->n_matches; k++)
		if (matches_conflict(&reference->matches[i], &reference->matches[k]))
			return true;
	return false;
}

bool reference_has_conflict(const struct reference *reference)
{
	for (size_t i = 0; i < reference->n_matches; i++)
		if (conflicts_with_another(reference, i))
			return true;
	return false;
}

/* ---- random rules ---- */

static void random_address(struct reference *reference, int family, uint8_t *ret)
{
	static const char *const v4[] = {"192.0.2.1", "192.0.2.200", "192.0.3.1", "198.51.100.7", "0.0.0.0",
		"255.255.255.255", "127.0.0.1"};
	static const char *const v6[] = {"2001:db8::1", "2001:db8::8000:0:0:1", "2001:db8:1::", "fd00::1",
		"::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
	unsigned i = pick(reference, sizeof(v4) / sizeof(v4[0]));

	assert(inet_pton(family, family == AF_INET6 ? v6[i] : v4[i], ret) == 1);
	for (unsigned bit = 0; bit < bits_of(family) && chance(reference, 15); bit++)
		set_bit(ret, pick(reference, bits_of(family)), chance(reference, 50));
}

static void random_prefix(struct reference *reference, struct reference_match *match)
{
	static const unsigned lengths4[] = {0, 0, 1, 8, 22, 23, 24, 25, 31, 32};
	static const unsigned lengths6[] = {0, 0, 1, 8, 32, 47, 48, 65, 127, 128};
	unsigned i = pick(reference, 10);

	match->length = match->family == AF_INET6 ? lengths6[i] : lengths4[i];
	if (chance(reference, 15))
		match->length = pick(reference, bits_of(match->family) + 1);
	random_address(reference, match->family, match->address);
	for (unsigned bit = match->length; bit < 128; bit++)
		set_bit(match->address, bit, false);
}

static void random_ports(struct reference *reference, struct reference_match *match)
{
	static const unsigned edges[] = {1, 2, 80, 81, 443, 8000, 8009, 8010, 8099, 65534, 65535};
	unsigned a = edges[pick(reference, 11)], b = edges[pick(reference, 11)];

	switch (pick(reference, 6)) {
	case 0:
	case 1:
		b = a;
		break;
	case 2:
		a = 1;
		b = 65535;
		break;
	case 3: /* equal widths that overlap by chance */
		a = 8000 + pick(reference, 16);
		b = a + 7;
		break;
	case 4:
		a = 1 + pick(reference, 65535);
		b = 1 + pick(reference, 65535);
		break;
	default:
		break;
	}
	match->first = a < b ? a : b;
	match->last = a < b ? b : a;
}

static void random_match(struct reference *reference, size_t rule)
{
	struct reference_match *match = &reference->matches[reference->n_matches++];
	unsigned family = pick(reference, 10);

	*match = (struct reference_match){.rule = rule};
	if (reference->n_matches > 1 &&
		chance(reference, 15)) { /* repeat the prefix or the ports of another match */
		*match = reference->matches[pick(reference, (unsigned)reference->n_matches - 1)];
		match->rule = rule;
		if (chance(reference, 50) && match->family != AF_UNSPEC)
			random_prefix(reference, match);
		else
			random_ports(reference, match);
		return;
	}
	match->protocol = chance(reference, 70) ? IPPROTO_TCP : IPPROTO_UDP;
	match->family = family < 5 ? AF_INET : family < 8 ? AF_INET6 : AF_UNSPEC;
	if (match->family != AF_UNSPEC)
		random_prefix(reference, match);
	random_ports(reference, match);
}

void reference_generate(struct reference *reference, uint64_t seed)
{
	/* These sort differently as file names than as names, and differently without case. */
	static const char *const names[REFERENCE_RULES_MAX] = {"web", "a", "a-b", "A", "_z", "x@1",
		"mail.example", "0123456789012345678901234567890123456789012345678901234567890@_"};
	unsigned many;

	*reference = (struct reference){.random = seed};
	many = chance(reference, 10) ? 25 : 5;
	reference->n_rules = 1 + pick(reference, REFERENCE_RULES_MAX);
	for (size_t i = 0; i < reference->n_rules; i++) {
		unsigned n = 1 + pick(reference, many);

		reference->rules[i] =
			(struct reference_rule){.name = names[i], .pass = chance(reference, 30)};
		while (n--)
			random_match(reference, i);
	}
}

bool reference_import(struct reference *reference, const struct rule_set *set)
{
	*reference = (struct reference){.random = set->n_rules};
	if (set->n_rules > REFERENCE_RULES_MAX)
		return false;
	reference->n_rules = set->n_rules;
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule *rule = &set->rules[i];

		reference->rules[i] = (struct reference_rule){.name = rule->name, .pass = rule->missing_pass};
		for (size_t k = 0; k < rule->n_matches; k++) {
			const struct rule_match *from = &rule->matches[k];
			struct reference_match *match = &reference->matches[reference->n_matches];

			if (reference->n_matches++ == REFERENCE_MATCHES_MAX)
				return false;
			*match = (struct reference_match){.rule = i,
				.protocol = from->protocol,
				.family = from->prefix.family,
				.length = from->prefix.length,
				.first = from->first,
				.last = from->last};
			memcpy(match->address, from->prefix.address, sizeof(match->address));
		}
	}
	return true;
}

static void remove_rule(struct reference *reference, size_t rule)
{
	for (size_t i = rule + 1; i < reference->n_rules; i++)
		reference->rules[i - 1] = reference->rules[i];
	reference->n_rules--;
	for (size_t i = 0; i < reference->n_matches; i++)
		if (reference->matches[i].rule > rule)
			reference->matches[i].rule--;
}

void reference_remove_conflicts(struct reference *reference)
{
	for (size_t i = 0; i < reference->n_matches;) {
		if (conflicts_with_another(reference, i))
			reference->matches[i] = reference->matches[--reference->n_matches];
		else
			i++;
	}
	for (size_t rule = reference->n_rules; rule-- > 0;) {
		bool used = false;

		for (size_t i = 0; i < reference->n_matches; i++)
			used = used || reference->matches[i].rule == rule;
		if (!used)
			remove_rule(reference, rule);
	}
}

/* ---- rules as text ---- */

static void write_ports(struct reference *reference, const struct reference_match *match, FILE *file)
{
	if (match->first == 1 && match->last == 65535 && chance(reference, 80))
		fputs("*", file);
	else if (match->first == match->last && chance(reference, 80))
		fprintf(file, "%u", match->first);
	else
		fprintf(file, "%u-%u", match->first, match->last);
}

static void write_match(struct reference *reference, const struct reference_match *match, FILE *file)
{
	char address[INET6_ADDRSTRLEN];

	if (match->family != AF_UNSPEC) {
		assert(inet_ntop(match->family, match->address, address, sizeof(address)));
		fprintf(file, "%s%s", match->family == AF_INET6 ? "[" : "", address);
		if (match->length < bits_of(match->family) || chance(reference, 50))
			fprintf(file, "/%u", match->length);
		fputs(match->family == AF_INET6 ? "]:" : ":", file);
	}
	write_ports(reference, match, file);
}

static const char *blank(struct reference *reference)
{
	static const char *const blanks[] = {"", "", " ", "\t", "  "};

	return blanks[pick(reference, 5)];
}

char *reference_write(struct reference *reference, size_t rule)
{
	static const char *const noise[] = {"", "", "", "# Stream=1", "; [Access]", "   ", "\t# \xc3\xa4",
		"[Rule]", "[Rule] # again", "Order=last",
		"Missing=", "[Access]\nUser=www-data 0\nUnit=*.service\n\n[Rule]"};
	bool ordered = false;
	int protocol = 0;
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	assert(file);
	fprintf(file, "%s[Rule]%s\n", blank(reference), blank(reference));
	for (size_t i = 0; i < reference->n_matches; i++) {
		const struct reference_match *match = &reference->matches[i];
		unsigned line = pick(reference, sizeof(noise) / sizeof(noise[0]));

		if (match->rule != rule)
			continue;
		if (protocol == match->protocol && chance(reference, 60)) {
			fputs(chance(reference, 50) ? " " : "\t ", file);
			write_match(reference, match, file);
			continue;
		}
		if (protocol)
			fprintf(file, "%s\n", chance(reference, 20) ? " # 9999" : blank(reference));
		if (line == 9 && ordered)
			line = 0; /* Order= once */
		ordered = ordered || line == 9;
		fprintf(file, "%s\n", noise[line]);
		protocol = match->protocol;
		fprintf(file, "%s%s%s=%s", blank(reference), protocol == IPPROTO_UDP ? "Datagram" : "Stream",
			blank(reference), blank(reference));
		write_match(reference, match, file);
	}
	if (reference->rules[rule].pass || chance(reference, 30))
		fprintf(file, "\nMissing=%s", reference->rules[rule].pass ? "pass" : "refuse");
	if (chance(reference, 50))
		fputc('\n', file);
	assert(!fclose(file));
	return text;
}

static int compare_rule(const void *a, const void *b)
{
	return strcmp(((const struct rule *)a)->name, ((const struct rule *)b)->name);
}

struct rule_set *reference_load(struct reference *reference)
{
	struct rule_set *set = calloc(1, sizeof(*set));
	struct problems problems = PROBLEMS_NULL;

	assert(set);
	set->rules = calloc(reference->n_rules + 1, sizeof(*set->rules));
	assert(set->rules);
	for (size_t i = 0; i < reference->n_rules; i++) {
		char *text = reference_write(reference, i);
		int r = parse_rule(reference->rules[i].name, reference->rules[i].name, text, strlen(text),
			&set->rules[set->n_rules++], &problems);

		for (size_t k = 0; k < problems.n; k++)
			fprintf(stderr, "%s:%u: %s\n%s\n", problems.items[k].file, problems.items[k].line,
				problems.items[k].text, text);
		assert(!r);
		free(text);
	}
	qsort(set->rules, set->n_rules, sizeof(*set->rules), compare_rule);
	return set;
}

/* ---- packets ---- */

static void random_local_address(
	struct reference *reference, const struct reference_match *match, uint8_t *address)
{
	unsigned way = pick(reference, 5);

	if (way == 0)
		return;					     /* the first address of the prefix */
	for (unsigned bit = match->length; bit < 128; bit++) /* the last one, or any */
		set_bit(address, bit, way == 1 || chance(reference, 50));
	if (way == 2 && match->length) /* just outside */
		set_bit(address, match->length - 1, !get_bit(address, match->length - 1));
	if (way == 3 && match->length) /* somewhere else, near or far */
		set_bit(address, pick(reference, match->length), chance(reference, 50));
}

void reference_packet(struct reference *reference, struct reference_packet *ret)
{
	const struct reference_match *match;
	unsigned ports[5];

	*ret = (struct reference_packet){.family = chance(reference, 60) ? AF_INET : AF_INET6,
		.protocol = chance(reference, 60) ? IPPROTO_TCP : IPPROTO_UDP,
		.port = (uint16_t)pick(reference, 65536)};
	random_address(reference, ret->family, ret->address);
	if (!reference->n_matches || chance(reference, 5))
		return;
	match = &reference->matches[pick(reference, (unsigned)reference->n_matches)];
	if (chance(reference, 95))
		ret->protocol = match->protocol;
	if (match->family != AF_UNSPEC) {
		ret->family = match->family;
		memcpy(ret->address, match->address, sizeof(ret->address));
		random_local_address(reference, match, ret->address);
		if (match->family == AF_INET)
			memset(ret->address + 4, 0, 12);
	}
	ports[0] = match->first - 1;
	ports[1] = match->first;
	ports[2] = match->last;
	ports[3] = match->last + 1;
	ports[4] = match->first + pick(reference, match->last - match->first + 1);
	ret->port = (uint16_t)ports[pick(reference, 5)]; /* 65536 becomes 0: no rule can have it either */
}

/* ---- reports ---- */

void reference_packet_print(const struct reference_packet *packet, FILE *file)
{
	char address[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(packet->family, packet->address, address, sizeof(address));
	fprintf(file, "# %s [%s]:%u\n", packet->protocol == IPPROTO_UDP ? "udp" : "tcp", address,
		packet->port);
}

void reference_print(struct reference *reference, FILE *file)
{
	for (size_t i = 0; i < reference->n_matches; i++) {
		const struct reference_match *match = &reference->matches[i];

		fprintf(file, "# %s%s: %s ", reference->rules[match->rule].name,
			reference->rules[match->rule].pass ? " (pass)" : "",
			match->protocol == IPPROTO_UDP ? "udp" : "tcp");
		write_match(reference, match, file);
		fputc('\n', file);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sweep over the ports of a table. The prefixes in force change only where a span starts or ends. All ports between
 * two such points have the same word: nothing, the seat of the rule for any address, or a class. Ports with the same
 * prefixes and words share a class, wherever they are.
 *
 * A digest, updated with every change, shows whether a set of prefixes has occurred before. Comparing the sets
 * themselves would take as many steps for each change as there are prefixes. The digest is a sum of 128-bit hashes of
 * prefix and name, so that it also recognises classes of the previous image. Two different sets have the same digest
 * with a probability of 2^-128 for each pair.
 */
#include <string.h>

#include "../util/array.h"
#include "compile.h"

/* n prefixes have at most 2n + 1 ranges and n nodes, for each 32 bits. */
_Static_assert(2 * IMAGE_PREFIXES_MAX + 1 <= 1ULL << 3 * USHER_LEVELS_MAX && USHER_NODE_RANGES == 1U << 3,
	"the program descends the highest tree");
_Static_assert(USHER_STEPS_MAX *IMAGE_PREFIXES_MAX < TREE_WORD_NODE - USHER_SEATS_MAX,
	"a word has room for the number of any node");

/* From this port on, the prefix has this word; 0: none */
struct change {
	uint32_t port;
	uint32_t prefix;
	uint32_t word;
};

struct known_class {
	struct image_digest digest;
	uint32_t word; /* 0: free */
};

struct sweep {
	const struct table *table;
	struct change *changes;
	size_t n_changes;
	uint32_t *words;     /* in force, by prefix */
	uint32_t *positions; /* by prefix: where in `active` */
	uint32_t *active;    /* prefixes with a word, in no order */
	size_t n_active;
	size_t n_long; /* active prefixes longer than 0 */
	struct image_digest digest;
	struct image_digest *names; /* of the rule, by seat */
	struct known_class *known;  /* hash table, at most half full */
	size_t known_mask;
};

static void sweep_deinit(struct sweep *sweep)
{
	free(sweep->changes);
	free(sweep->words);
	free(sweep->positions);
	free(sweep->active);
	free(sweep->known);
	free(sweep->names);
}

/* The finaliser of splitmix64: every bit of the result depends on every bit of the value. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

static struct image_digest hash_name(const char *name)
{
	struct image_digest digest = {.low = 0x9e3779b97f4a7c15ULL, .high = 0xd1b54a32d192ed03ULL};

	for (; *name; name++) {
		digest.low = mix(digest.low + (uint8_t)*name);
		digest.high = mix(digest.high + (uint8_t)*name);
	}
	return digest;
}

static struct image_digest hash(const struct prefix *prefix, const struct image_digest *name)
{
	struct image_digest digest = *name;
	uint64_t address[2];

	memcpy(address, prefix->address, sizeof(address));
	digest.low = mix(mix(mix(digest.low ^ address[0]) ^ address[1]) ^ prefix->length);
	digest.high = mix(mix(mix(digest.high ^ address[0]) ^ address[1]) ^ prefix->length);
	return digest;
}

/*
 * Sorts the starts and ends of all spans by port. Those of one port stay in the order of the spans: so for each prefix,
 * an end comes before a start.
 */
static int sort_changes(struct sweep *sweep)
{
	const struct table *table = sweep->table;
	_cleanup_free_ size_t *next = calloc(USHER_PORTS + 2, sizeof(*next));

	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_spans; i++) {
		next[table->spans[i].first + 1U]++;
		next[table->spans[i].last + 2U]++;
	}
	for (size_t port = 1; port < USHER_PORTS + 2; port++)
		next[port] += next[port - 1];
	for (size_t i = 0; i < table->n_spans; i++) {
		const struct span *span = &table->spans[i];

		sweep->changes[next[span->first]++] =
			(struct change){.port = span->first, .prefix = span->prefix, .word = span->word};
		sweep->changes[next[span->last + 1U]++] =
			(struct change){.port = span->last + 1U, .prefix = span->prefix};
	}
	sweep->n_changes = 2 * table->n_spans;
	return 0;
}

/* The entry of the class with this digest, or the free one for it */
static struct known_class *find_known(const struct sweep *sweep, const struct image_digest *digest)
{
	size_t i = digest->low;

	while (sweep->known[i & sweep->known_mask].word &&
		(sweep->known[i & sweep->known_mask].digest.low != digest->low ||
			sweep->known[i & sweep->known_mask].digest.high != digest->high))
		i++;
	return &sweep->known[i & sweep->known_mask];
}

static int sweep_init(struct sweep *sweep, const struct image *image, const struct table *table)
{
	size_t n_known = 2, n_stops = 0;

	*sweep = (struct sweep){.table = table};
	sweep->changes = calloc(table->n_spans, 2 * sizeof(*sweep->changes));
	sweep->words = calloc(table->n_prefixes, sizeof(*sweep->words));
	sweep->positions = calloc(table->n_prefixes, sizeof(*sweep->positions));
	sweep->active = calloc(table->n_prefixes, sizeof(*sweep->active));
	if (!sweep->changes || !sweep->words || !sweep->positions || !sweep->active)
		return -ENOMEM;
	if (sort_changes(sweep) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sweep->n_changes; i++)
		n_stops += !i || sweep->changes[i - 1].port != sweep->changes[i].port;
	while (n_known < 2 * (n_stops + image->n_classes))
		n_known *= 2;
	sweep->known = calloc(n_known, sizeof(*sweep->known));
	sweep->known_mask = n_known - 1;
	sweep->names = calloc(image->n_seats, sizeof(*sweep->names));
	if (!sweep->known || !sweep->names)
		return -ENOMEM;
	for (size_t i = 1; i < image->n_seats; i++)
		sweep->names[i] = hash_name(image->seats[i].name);
	for (size_t i = 0; i < image->n_classes; i++)
		if (image->classes[i].table == table->index)
			*find_known(sweep, &image->classes[i].digest) = (struct known_class){
				.digest = image->classes[i].digest, .word = image->classes[i].word};
	return 0;
}

static void apply(struct sweep *sweep, const struct change *change)
{
	uint32_t prefix = change->prefix, before = sweep->words[prefix], last, position;
	const struct prefix *range = &sweep->table->prefixes[prefix];
	bool is_long = range->length;

	if (before) {
		struct image_digest old = hash(range, &sweep->names[before]);

		sweep->digest.low -= old.low;
		sweep->digest.high -= old.high;
	}
	if (change->word) {
		struct image_digest new = hash(range, &sweep->names[change->word]);

		sweep->digest.low += new.low;
		sweep->digest.high += new.high;
	}
	sweep->words[prefix] = change->word;
	if (!before && change->word) {
		sweep->positions[prefix] = (uint32_t)sweep->n_active;
		sweep->active[sweep->n_active++] = prefix;
		sweep->n_long += is_long;
	} else if (before && !change->word) {
		last = sweep->active[--sweep->n_active];
		position = sweep->positions[prefix];
		sweep->active[position] = last;
		sweep->positions[last] = position;
		sweep->n_long -= is_long;
	}
}

static int add_prefix(struct image *image, const struct sweep *sweep, uint32_t prefix)
{
	if (ARRAY_RESERVE(image->prefixes, image->n_listed) < 0)
		return -ENOMEM;
	image->prefixes[image->n_listed++] =
		(struct tree_prefix){.prefix = sweep->table->prefixes[prefix], .word = sweep->words[prefix]};
	return 0;
}

static int compare_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Lists the active prefixes in the order of the table. If they are many, walking the table is faster than sorting. */
static int add_prefixes(struct image *image, const struct sweep *sweep)
{
	_cleanup_free_ uint32_t *sorted = NULL;
	size_t n = sweep->table->n_prefixes;
	int r = 0;

	if (sweep->n_active > n / 16) {
		for (size_t i = 0; i < n && !r; i++)
			if (sweep->words[i])
				r = add_prefix(image, sweep, (uint32_t)i);
		return r;
	}
	sorted = calloc(sweep->n_active, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, sweep->active, sweep->n_active * sizeof(*sorted));
	qsort(sorted, sweep->n_active, sizeof(*sorted), compare_number);
	for (size_t i = 0; i < sweep->n_active && !r; i++)
		r = add_prefix(image, sweep, sorted[i]);
	return r;
}

static int add_class(struct image *image, const struct sweep *sweep)
{
	struct image_class class = {.first = (uint32_t)image->n_listed,
		.n = (uint32_t)sweep->n_active,
		.table = sweep->table->index,
		.digest = sweep->digest};
	int r;

	r = add_prefixes(image, sweep);
	if (!r && image->n_prefixes + class.n > IMAGE_PREFIXES_MAX)
		r = IMAGE_TOO_LARGE; /* listed all the same: the message names the rule that has most of the list */
	if (!r)
		r = tree_add(&image->nodes, image->prefixes + class.first, class.n, &class.word);
	if (!r)
		r = ARRAY_RESERVE(image->classes, image->n_classes);
	if (r)
		return r;
	image->classes[image->n_classes++] = class;
	image->n_prefixes += class.n;
	return 0;
}

/* The word of the ports from here to the next change. */
static int current_word(struct image *image, struct sweep *sweep, uint32_t *ret)
{
	struct known_class *known;
	int r;

	if (!sweep->n_long) { /* only prefix 0, which alone has length 0, or nothing */
		*ret = sweep->n_active ? sweep->words[sweep->active[0]] : 0;
		return 0;
	}
	known = find_known(sweep, &sweep->digest);
	if (known->word) {
		*ret = known->word;
		return 0;
	}
	r = add_class(image, sweep);
	if (r)
		return r;
	known->digest = sweep->digest;
	*ret = known->word = image->classes[image->n_classes - 1].word;
	return 0;
}

int image_add_table(struct image *image, const struct table *table)
{
	_cleanup_(sweep_deinit) struct sweep sweep;
	uint32_t *ports = image->ports[table->index], word;
	int r = sweep_init(&sweep, image, table);

	for (size_t i = 0; i < sweep.n_changes && !r;) {
		uint32_t port = sweep.changes[i].port, end;

		for (; i < sweep.n_changes && sweep.changes[i].port == port; i++)
			apply(&sweep, &sweep.changes[i]);
		end = i < sweep.n_changes ? sweep.changes[i].port
					  : port; /* nothing is in force after the last change */
		r = current_word(image, &sweep, &word);
		for (; port < end && !r; port++)
			ports[port] = word;
	}
	return r;
}

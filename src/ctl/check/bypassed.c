/* SPDX-License-Identifier: BSD-3-Clause */
#include "bypassed.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../rule/match.h"
#include "../../scan/target.h"

/* What one rule takes from a listener */
struct taken {
	size_t round; /* of the takings; in an older round, nothing is taken */
	struct prefix prefix;
	bool more;
};

/* What each rule takes from one listener */
struct takings {
	size_t round;
	struct taken *taken; /* one for each rule */
	size_t *rules;	     /* indices of those that take something */
	size_t n;
};

/* What rules take from a wildcard socket on a port. It is the same for all ports with the same word. */
struct summary {
	uint32_t word;
	uint8_t protocol; /* 0: empty */
	struct takings takings;
};

struct search {
	const struct rule_set *set;
	const struct image *image;
	const struct served *served;
	struct bypassed_list *list;
	size_t *rules; /* index of the rule of each seat */
	struct takings takings;
	struct summary summaries[2]; /* IPv4, IPv6 */
	struct takings *taking;	     /* for take() */
};

static void tally_deinit(struct takings *takings)
{
	free(takings->taken);
	free(takings->rules);
}

static int tally_init(struct takings *takings, size_t n_rules)
{
	takings->taken = calloc(n_rules + 1, sizeof(*takings->taken));
	takings->rules = calloc(n_rules + 1, sizeof(*takings->rules));
	return takings->taken && takings->rules ? 0 : -ENOMEM;
}

static void tally_begin(struct takings *takings)
{
	takings->round++;
	takings->n = 0;
}

static int compare_prefix(const struct prefix *a, const struct prefix *b)
{
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return memcmp(a->address, b->address, sizeof(a->address));
}

/* Of several prefixes, the shortest is reported. */
static void tally_add(struct takings *takings, size_t rule, const struct prefix *prefix, bool more)
{
	struct taken *taken = &takings->taken[rule];

	if (taken->round != takings->round) {
		*taken = (struct taken){.round = takings->round, .prefix = *prefix, .more = more};
		takings->rules[takings->n++] = rule;
		return;
	}
	/* any address, in both families: that is usually one match, so there is no more of it */
	if (more || prefix->length || taken->prefix.length)
		taken->more = true;
	if (compare_prefix(prefix, &taken->prefix) < 0)
		taken->prefix = *prefix;
}

static void search_deinit(struct search *search)
{
	free(search->rules);
	tally_deinit(&search->takings);
	for (size_t i = 0; i < ARRAY_SIZE(search->summaries); i++)
		tally_deinit(&search->summaries[i].takings);
}

static int search_init(struct search *search)
{
	const struct image *image = search->image;
	int r;

	search->rules = calloc(image->n_seats, sizeof(*search->rules));
	r = search->rules ? tally_init(&search->takings, search->set->n_rules) : -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(search->summaries) && !r; i++)
		r = tally_init(&search->summaries[i].takings, search->set->n_rules);
	for (size_t i = 1; i < image->n_seats && !r; i++)
		search->rules[i] =
			(size_t)(rule_set_find(search->set, image->seats[i].name) - search->set->rules);
	return r;
}

/* For image_foreach_prefix() */
static void take(const struct prefix *prefix, uint32_t word, void *userdata)
{
	struct search *search = userdata;

	tally_add(search->taking, search->rules[word], prefix, false);
}

static void look_at_wildcard(struct search *search, const struct diag_socket *socket, int family)
{
	struct summary *summary = &search->summaries[family == AF_INET6];
	struct takings *takings = &summary->takings;
	uint32_t word = image_port_word(search->image, family, socket->protocol, socket->port);

	if (summary->protocol != socket->protocol || summary->word != word) {
		summary->protocol = socket->protocol;
		summary->word = word;
		tally_begin(takings);
		search->taking = takings;
		image_foreach_prefix(search->image, family, socket->protocol, socket->port, take, search);
	}
	for (size_t i = 0; i < takings->n; i++) {
		const struct taken *taken = &takings->taken[takings->rules[i]];

		tally_add(&search->takings, takings->rules[i], &taken->prefix, taken->more);
	}
}

static void look_at_family(
	struct search *search, const struct diag_socket *socket, int family, const uint8_t *address)
{
	struct prefix exact = {.family = (uint8_t)family, .length = (uint8_t)address_bits(family)};
	uint32_t word;

	if (address_is_any(family, address)) {
		look_at_wildcard(search, socket, family);
		return;
	}
	/* the kernel delivers multicast to every matching socket, without an sk_lookup */
	if (address_is_multicast(family, address))
		return;
	word = image_lookup(search->image, family, socket->protocol, address, socket->port);
	if (!word)
		return;
	memcpy(exact.address, address, address_size(family));
	tally_add(&search->takings, search->rules[word], &exact, false);
}

static void look_at_socket(struct search *search, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	look_at_family(search, socket, family, address);
	if (family == AF_INET6 && address_is_any(family, address) && diag_serves(socket, AF_INET))
		look_at_wildcard(search, socket, AF_INET);
}

/* The match by which a rule takes a prefix: the strongest that contains all of it. */
static const struct rule_match *find_match(
	const struct rule *rule, const struct diag_socket *socket, const struct prefix *taken)
{
	const struct rule_match *found = NULL;

	for (size_t i = 0; i < rule->n_matches; i++) {
		const struct rule_match *match = &rule->matches[i];

		if (match->protocol != socket->protocol || socket->port < match->first ||
			socket->port > match->last || match->prefix.length > taken->length)
			continue;
		if (match->prefix.family != AF_UNSPEC &&
			!prefix_contains(&match->prefix, taken->family, taken->address))
			continue;
		if (!found || rule_match_is_stronger(match, found))
			found = match;
	}
	return found;
}

/* Whether the rule leaves packets to such a socket */
static bool is_left(const struct rule *rule, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);

	return rule->order == RULE_LAST ||
	       (rule->order == RULE_BEFORE_WILDCARD && !address_is_any(family, address));
}

static void report_bypassed(struct search *search, const struct diag_socket *socket, size_t index)
{
	const struct rule *rule = &search->set->rules[index];
	const struct taken *taken = &search->takings.taken[index];
	struct bypassed_list *list = search->list;
	bool described = target_is_described(rule, socket);

	if (is_left(rule, socket))
		return;
	if (search->served ? served_has(search->served, rule->name, socket->cookie) : described)
		return;
	/* usher-discover looks for what a rule describes once the rule is in force */
	if (described && !served_knows(search->served, rule->name))
		return;
	list->n_all++;
	if (list->n == BYPASSED_MAX) {
		list->n_more[index]++;
		return;
	}
	list->items[list->n++] = (struct bypassed){.rule = rule,
		.match = find_match(rule, socket, &taken->prefix),
		.socket = socket,
		.taken = taken->prefix,
		.more = taken->more,
		.described = described};
}

static int compare_index(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int bypassed_find(const struct rule_set *set, struct image *image, const struct diag_socket *sockets,
	size_t n_sockets, const struct served *served, struct bypassed_list *ret)
{
	_cleanup_(search_deinit) struct search search = {
		.set = set, .image = image, .served = served, .list = ret};

	*ret = (struct bypassed_list){.n_more = calloc(set->n_rules + 1, sizeof(*ret->n_more))};
	if (!ret->n_more || search_init(&search) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_sockets; i++) {
		struct takings *takings = &search.takings;

		tally_begin(takings);
		look_at_socket(&search, &sockets[i]);
		qsort(takings->rules, takings->n, sizeof(*takings->rules), compare_index);
		for (size_t j = 0; j < takings->n; j++)
			report_bypassed(&search, &sockets[i], takings->rules[j]);
	}
	return 0;
}

void bypassed_deinit(struct bypassed_list *list)
{
	free(list->n_more);
	*list = (struct bypassed_list){};
}

size_t bypassed_ports(const struct image *image, uint16_t ports[static USHER_PORTS])
{
	size_t n = 0;

	for (unsigned port = 1; port < USHER_PORTS; port++)
		for (unsigned table = 0; table < USHER_TABLES; table++)
			if (image->ports[table][port]) {
				ports[n++] = (uint16_t)port;
				break;
			}
	return n;
}

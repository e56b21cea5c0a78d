/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fault.h"
#include "file.h"

static void words_deinit(struct rule_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->items[i].text);
	free(words->items);
}

static void release(struct rule *rule)
{
	free(rule->origin);
	free(rule->name);
	free(rule->path);
	free(rule->matches);
	words_deinit(&rule->sockets);
	words_deinit(&rule->access.users);
	words_deinit(&rule->access.groups);
	words_deinit(&rule->access.units);
	words_deinit(&rule->access.user_units);
	free(rule->access.bound);
	free(rule->discover.sockets);
	words_deinit(&rule->discover.users);
	words_deinit(&rule->discover.units);
	words_deinit(&rule->discover.user_units);
	words_deinit(&rule->discover.executables);
	for (size_t i = 0; i < rule->relay.n_backends; i++)
		free(rule->relay.backends[i].text);
	free(rule->relay.backends);
	free(rule->relay.proxies);
}

void rule_deinit(struct rule *rule)
{
	free(rule->text);
	if (!rule->origin || !--rule->origin->n_rules)
		release(rule);
	*rule = (struct rule){0};
}

struct rule rule_share(const struct rule *rule)
{
	struct rule shared = *rule;

	rule->origin->n_rules++;
	shared.text = NULL;
	return shared;
}

bool rule_is_same(const struct rule *a, const struct rule *b)
{
	return a->origin && a->origin == b->origin;
}

struct rule_set *rule_set_free(struct rule_set *set)
{
	if (!set)
		return NULL;
	for (size_t i = 0; i < set->n_rules; i++)
		rule_deinit(&set->rules[i]);
	free(set->rules);
	faults_deinit(set);
	free(set);
	return NULL;
}

static int compare_name(const void *name, const void *rule)
{
	return strcmp(name, ((const struct rule *)rule)->name);
}

const struct rule *rule_set_find(const struct rule_set *set, const char *name)
{
	if (!set->n_rules)
		return NULL;
	return bsearch(name, set->rules, set->n_rules, sizeof(*set->rules), compare_name);
}

bool rule_match_concerns(const struct rule_match *match, int protocol, int family)
{
	int own = match->prefix.family;

	return match->protocol == protocol && (own == AF_UNSPEC || family == AF_UNSPEC || own == family);
}

bool rule_match_is_endpoint(const struct rule_match *match)
{
	return match->first == match->last && prefix_is_address(&match->prefix);
}

bool rule_has_match(const struct rule *rule, int protocol, int family)
{
	for (size_t i = 0; i < rule->n_matches; i++)
		if (rule_match_concerns(&rule->matches[i], protocol, family))
			return true;
	return false;
}

const char *rule_ports_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX])
{
	if (match->first == 1 && match->last == 65535)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "*");
	else if (match->first == match->last)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%u", match->first);
	else
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%u-%u", match->first, match->last);
	return text;
}

const char *rule_match_format(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX])
{
	char prefix[PREFIX_TEXT_MAX], ports[RULE_MATCH_TEXT_MAX];

	(void)rule_ports_format(match, ports);
	if (match->prefix.family == AF_UNSPEC)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%.15s", ports);
	else
		(void)snprintf(text, RULE_MATCH_TEXT_MAX,
			match->prefix.family == AF_INET6 ? "[%s]:%.15s" : "%s:%.15s",
			prefix_format(&match->prefix, prefix), ports);
	return text;
}

const char *rule_match_format_brief(const struct rule_match *match, char text[static RULE_MATCH_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN], ports[RULE_MATCH_TEXT_MAX];

	if (match->prefix.family == AF_UNSPEC || !prefix_is_address(&match->prefix))
		return rule_match_format(match, text);
	(void)snprintf(text, RULE_MATCH_TEXT_MAX,
		match->prefix.family == AF_INET6 ? "[%s]:%.15s" : "%s:%.15s",
		address_format(match->prefix.family, match->prefix.address, address),
		rule_ports_format(match, ports));
	return text;
}

const char *rule_order_word(enum rule_order order)
{
	static const char *const words[RULE_ORDERS] = {
		[RULE_FIRST] = "first",
		[RULE_BEFORE_WILDCARD] = "before-wildcard",
		[RULE_LAST] = "last",
	};

	return words[order];
}

const char *rule_match_key(int protocol)
{
	return protocol == IPPROTO_UDP ? "Datagram" : "Stream";
}

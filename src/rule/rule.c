/* SPDX-License-Identifier: BSD-3-Clause */
#include "rule.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "file.h"

#define TIME_TEXT_MAX 16

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
	words_deinit(&rule->access.users);
	words_deinit(&rule->access.groups);
	words_deinit(&rule->access.units);
	free(rule->access.bound);
	free(rule->discover.sockets);
	words_deinit(&rule->discover.users);
	words_deinit(&rule->discover.units);
	words_deinit(&rule->discover.executables);
}

void rule_deinit(struct rule *rule)
{
	if (!rule->origin || !--rule->origin->n_rules)
		release(rule);
	*rule = (struct rule){0};
}

struct rule rule_share(const struct rule *rule)
{
	rule->origin->n_rules++;
	return *rule;
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
	_Static_assert(RULE_MATCH_TEXT_MAX >= ENDPOINT_TEXT_MAX, "an endpoint fits");
	if (!rule_match_is_endpoint(match))
		return rule_match_format(match, text);
	return endpoint_format(match->prefix.family, match->prefix.address, match->first, text);
}

struct visit {
	int (*function)(const struct rule_setting *setting, void *userdata);
	void *userdata;
};

static int visit_word(
	const struct visit *visit, const char *section, const char *key, const char *value, unsigned line)
{
	struct rule_setting setting = {.section = section, .key = key, .value = value, .line = line};

	return visit->function(&setting, visit->userdata);
}

static int visit_words(
	const struct visit *visit, const char *section, const char *key, const struct rule_words *words)
{
	int r = 0;

	for (size_t i = 0; i < words->n && !r; i++)
		r = visit_word(visit, section, key, words->items[i].text, words->items[i].line);
	return r;
}

const char *rule_match_key(int protocol)
{
	return protocol == IPPROTO_UDP ? "Datagram" : "Stream";
}

static int visit_matches(const struct visit *visit, const struct rule *rule)
{
	int r = 0;

	for (size_t i = 0; i < rule->n_matches && !r; i++) {
		const struct rule_match *match = &rule->matches[i];
		char text[RULE_MATCH_TEXT_MAX];
		struct rule_setting setting = {
			.section = "Rule",
			.key = rule_match_key(match->protocol),
			.value = rule_match_format(match, text),
			.line = match->line,
			.match = match,
		};

		r = visit->function(&setting, visit->userdata);
	}
	return r;
}

static int visit_bound(const struct visit *visit, const struct rule_access *access)
{
	int r = 0;

	if (access->bound_any)
		return visit_word(visit, "Access", "Bound", "any", access->bound_line);
	for (size_t i = 0; i < access->n_bound && !r; i++) {
		char text[PREFIX_TEXT_MAX];

		r = visit_word(
			visit, "Access", "Bound", prefix_format(&access->bound[i], text), access->bound_line);
	}
	return r;
}

/* A time as in a file, in the largest unit that makes it a whole number */
static const char *format_interval(unsigned ms, char text[static TIME_TEXT_MAX])
{
	if (ms % (60 * 60 * 1000) == 0)
		(void)snprintf(text, TIME_TEXT_MAX, "%uh", ms / (60 * 60 * 1000));
	else if (ms % (60 * 1000) == 0)
		(void)snprintf(text, TIME_TEXT_MAX, "%umin", ms / (60 * 1000));
	else if (ms % 1000 == 0)
		(void)snprintf(text, TIME_TEXT_MAX, "%us", ms / 1000);
	else
		(void)snprintf(text, TIME_TEXT_MAX, "%ums", ms);
	return text;
}

static int visit_discover(const struct visit *visit, const struct rule_discover *discover)
{
	char text[RULE_MATCH_TEXT_MAX], time[TIME_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < discover->n_sockets && !r; i++)
		r = visit_word(visit, "Discover", "Socket", rule_match_format(&discover->sockets[i], text),
			discover->sockets[i].line);
	if (!r)
		r = visit_words(visit, "Discover", "User", &discover->users);
	if (!r)
		r = visit_words(visit, "Discover", "Unit", &discover->units);
	if (!r)
		r = visit_words(visit, "Discover", "Executable", &discover->executables);
	if (!r)
		r = visit_word(visit, "Discover", "Listen", discover->in_kernel ? "kernel" : "event",
			discover->listen_line);
	if (!r)
		r = visit_word(visit, "Discover", "ScanInterval",
			format_interval(discover->scan_interval_ms, time), discover->scan_line);
	return r;
}

int rule_foreach_setting(const struct rule *rule,
	int (*function)(const struct rule_setting *setting, void *userdata), void *userdata)
{
	struct visit visit = {.function = function, .userdata = userdata};
	int r = visit_matches(&visit, rule);

	if (!r)
		r = visit_word(&visit, "Rule", "Missing", rule->missing_pass ? "pass" : "refuse",
			rule->missing_line);
	if (!r)
		r = visit_word(&visit, "Rule", "Order", "first", rule->order_line);
	if (!r)
		r = visit_words(&visit, "Access", "User", &rule->access.users);
	if (!r)
		r = visit_words(&visit, "Access", "Group", &rule->access.groups);
	if (!r)
		r = visit_words(&visit, "Access", "Unit", &rule->access.units);
	if (!r)
		r = visit_bound(&visit, &rule->access);
	if (!r && rule->discover.present)
		r = visit_discover(&visit, &rule->discover);
	return r;
}

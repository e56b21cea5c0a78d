/* SPDX-License-Identifier: BSD-3-Clause */
#include "setting.h"

#include <stdio.h>
#include <sys/socket.h>

/* A walk over the parts of a rule, each a list of settings, to the one that has the index. */
struct walk {
	size_t left; /* settings before the one that is wanted, from the part on that comes next */
	char *text;
	struct rule_setting *setting;
};

/* Return: whether the setting is in a part of so many; then `left` is its index there. */
static bool is_in(struct walk *walk, size_t n, const char *section, const char *key)
{
	if (walk->left >= n) {
		walk->left -= n;
		return false;
	}
	*walk->setting = (struct rule_setting){.section = section, .key = key};
	return true;
}

static bool get_match(struct walk *walk, const struct rule *rule)
{
	const struct rule_match *match;

	if (!is_in(walk, rule->n_matches, "Rule", NULL))
		return false;
	match = &rule->matches[walk->left];
	walk->setting->key = rule_match_key(match->protocol);
	walk->setting->value = rule_match_format(match, walk->text);
	walk->setting->line = match->line;
	walk->setting->match = match;
	return true;
}

static bool get_word(
	struct walk *walk, const char *section, const char *key, const char *value, unsigned line)
{
	if (!is_in(walk, 1, section, key))
		return false;
	walk->setting->value = value;
	walk->setting->line = line;
	return true;
}

static bool get_words(struct walk *walk, const char *section, const char *key, const struct rule_words *words)
{
	if (!is_in(walk, words->n, section, key))
		return false;
	walk->setting->value = words->items[walk->left].text;
	walk->setting->line = words->items[walk->left].line;
	return true;
}

static bool get_bound(struct walk *walk, const struct rule_access *access)
{
	if (access->bound_any)
		return get_word(walk, "Access", "Bound", "any", access->bound_line);
	if (!is_in(walk, access->n_bound, "Access", "Bound"))
		return false;
	walk->setting->value = prefix_format(&access->bound[walk->left], walk->text);
	walk->setting->line = access->bound_line;
	return true;
}

static bool get_discovered(struct walk *walk, const struct rule_discover *discover)
{
	if (!is_in(walk, discover->n_sockets, "Discover", "Socket"))
		return false;
	walk->setting->value = rule_match_format(&discover->sockets[walk->left], walk->text);
	walk->setting->line = discover->sockets[walk->left].line;
	return true;
}

/* A time as in a file, in the largest unit that makes it a whole number */
static const char *format_interval(unsigned ms, char text[static RULE_MATCH_TEXT_MAX])
{
	if (ms % (60 * 60 * 1000) == 0)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%uh", ms / (60 * 60 * 1000));
	else if (ms % (60 * 1000) == 0)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%umin", ms / (60 * 1000));
	else if (ms % 1000 == 0)
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%us", ms / 1000);
	else
		(void)snprintf(text, RULE_MATCH_TEXT_MAX, "%ums", ms);
	return text;
}

static bool get_time(struct walk *walk, const char *section, const char *key, const struct rule_time *time)
{
	if (!is_in(walk, 1, section, key))
		return false;
	walk->setting->value = time->ms ? format_interval(time->ms, walk->text) : "off";
	walk->setting->line = time->line;
	return true;
}

static bool get_backend(struct walk *walk, const struct rule_relay *relay)
{
	if (!is_in(walk, relay->n_backends, "Relay", "Connect"))
		return false;
	walk->setting->value = relay->backends[walk->left].text;
	walk->setting->line = relay->backends[walk->left].line;
	return true;
}

static bool get_proxy(struct walk *walk, const struct rule_relay *relay)
{
	if (!is_in(walk, relay->n_proxies, "Relay", "AcceptProxy"))
		return false;
	walk->setting->value = prefix_format(&relay->proxies[walk->left], walk->text);
	walk->setting->line = relay->accept_proxy_line;
	return true;
}

static bool get_max_connections(struct walk *walk, const struct rule_relay *relay)
{
	if (!is_in(walk, 1, "Relay", "MaxConnections"))
		return false;
	(void)snprintf(walk->text, RULE_MATCH_TEXT_MAX, "%u", relay->max_connections);
	walk->setting->value = walk->text;
	walk->setting->line = relay->max_connections_line;
	return true;
}

static bool get_relay(struct walk *walk, const struct rule_relay *relay)
{
	static const char *const send_proxy[] = {"no", "v1", "v2"};

	return get_backend(walk, relay) ||
	       get_word(walk, "Relay", "SendProxy", send_proxy[relay->send_proxy], relay->send_proxy_line) ||
	       get_proxy(walk, relay) ||
	       get_word(walk, "Relay", "Transparent", relay->transparent ? "yes" : "no",
		       relay->transparent_line) ||
	       get_max_connections(walk, relay) ||
	       get_time(walk, "Relay", "ConnectTimeout", &relay->connect_timeout) ||
	       get_time(walk, "Relay", "IdleTimeout", &relay->idle_timeout) ||
	       get_time(walk, "Relay", "HalfCloseTimeout", &relay->half_close_timeout) ||
	       get_time(walk, "Relay", "KeepAlive", &relay->keep_alive) ||
	       get_time(walk, "Relay", "SessionTimeout", &relay->session_timeout);
}

static bool get_interval(struct walk *walk, const struct rule_discover *discover)
{
	if (!is_in(walk, 1, "Discover", "ScanInterval"))
		return false;
	walk->setting->value = format_interval(discover->scan_interval_ms, walk->text);
	walk->setting->line = discover->scan_line;
	return true;
}

static bool get_discover(struct walk *walk, const struct rule_discover *discover)
{
	return get_discovered(walk, discover) || get_words(walk, "Discover", "User", &discover->users) ||
	       get_words(walk, "Discover", "Unit", &discover->units) ||
	       get_words(walk, "Discover", "UserUnit", &discover->user_units) ||
	       get_words(walk, "Discover", "Executable", &discover->executables) ||
	       get_word(walk, "Discover", "Listen", discover->in_kernel ? "kernel" : "event",
		       discover->listen_line) ||
	       get_interval(walk, discover);
}

bool setting_get(const struct rule *rule, size_t index, char text[static RULE_MATCH_TEXT_MAX],
	struct rule_setting *ret)
{
	struct walk walk = {.left = index, .text = text, .setting = ret};

	_Static_assert(RULE_MATCH_TEXT_MAX >= PREFIX_TEXT_MAX, "a prefix fits");
	return get_match(&walk, rule) ||
	       get_word(&walk, "Rule", "Missing", rule->missing_pass ? "pass" : "refuse",
		       rule->missing_line) ||
	       get_word(&walk, "Rule", "Order", rule_order_word(rule->order), rule->order_line) ||
	       get_words(&walk, "Rule", "Sockets", &rule->sockets) ||
	       get_words(&walk, "Access", "User", &rule->access.users) ||
	       get_words(&walk, "Access", "Group", &rule->access.groups) ||
	       get_words(&walk, "Access", "Unit", &rule->access.units) ||
	       get_words(&walk, "Access", "UserUnit", &rule->access.user_units) ||
	       get_bound(&walk, &rule->access) ||
	       (rule->discover.present && get_discover(&walk, &rule->discover)) ||
	       (rule->relay.present && get_relay(&walk, &rule->relay));
}

int setting_foreach(const struct rule *rule,
	int (*function)(const struct rule_setting *setting, void *userdata), void *userdata)
{
	char text[RULE_MATCH_TEXT_MAX];
	struct rule_setting setting;
	int r = 0;

	for (size_t i = 0; !r && setting_get(rule, i, text, &setting); i++)
		r = function(&setting, userdata);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The sections and keys of a rule file, and their possible values: usher.rules(5) */
#include "section.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "../util/text.h"
#include "key.h"

struct section {
	const char *name;
	const char *known;   /* the keys, for a message */
	struct key keys[12]; /* the last one has no name */
};

#define WORDS(member) offsetof(struct rule, member)

static const struct section sections[] = {
	{
		.name = "Rule",
		.known = "Stream, Datagram, Missing, Order and Sockets",
		.keys = {{"Stream", section_rule_matches, .protocol = IPPROTO_TCP},
			{"Datagram", section_rule_matches, .protocol = IPPROTO_UDP},
			{"Missing", section_rule_missing, 0}, {"Order", section_rule_order, 0},
			{"Sockets", key_assign_sockets, WORDS(sockets)}},
	},
	{
		.name = "Access",
		.known = "User, Group, Unit, UserUnit and Bound",
		.keys = {{"User", key_assign_users, WORDS(access.users)},
			{"Group", key_assign_groups, WORDS(access.groups)},
			{"Unit", key_assign_units, WORDS(access.units)},
			{"UserUnit", key_assign_units, WORDS(access.user_units)},
			{"Bound", section_access_bound, 0}},
	},
	{
		.name = "Discover",
		.known = "Socket, User, Unit, UserUnit, Executable, Listen and ScanInterval",
		.keys = {{"Socket", section_discover_sockets, 0},
			{"User", key_assign_users, WORDS(discover.users)},
			{"Unit", key_assign_units, WORDS(discover.units)},
			{"UserUnit", key_assign_units, WORDS(discover.user_units)},
			{"Executable", key_assign_executables, WORDS(discover.executables)},
			{"Listen", section_discover_listen, 0},
			{"ScanInterval", section_discover_scan_interval, 0}},
	},
	{
		.name = "Relay",
		.known =
			"Connect, SendProxy, AcceptProxy, Transparent, MaxConnections, ConnectTimeout, IdleTimeout, HalfCloseTimeout, KeepAlive and SessionTimeout",
		.keys = {{"Connect", section_relay_connect, 0}, {"SendProxy", section_relay_send_proxy, 0},
			{"AcceptProxy", section_relay_accept_proxy, 0},
			{"Transparent", section_relay_transparent, 0},
			{"MaxConnections", section_relay_max_connections, 0},
			{"ConnectTimeout", section_relay_time, WORDS(relay.connect_timeout)},
			{"IdleTimeout", section_relay_time, WORDS(relay.idle_timeout)},
			{"HalfCloseTimeout", section_relay_time, WORDS(relay.half_close_timeout)},
			{"KeepAlive", section_relay_time, WORDS(relay.keep_alive)},
			{"SessionTimeout", section_relay_time, WORDS(relay.session_timeout)}},
	},
};

void section_enter(struct parser *parser, const char *name)
{
	char quoted[TEXT_QUOTE_MAX];

	parser->section = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(name, sections[i].name))
			parser->section = &sections[i];
	parser->skip = !parser->section;
	if (!parser->section)
		parser_complain(parser,
			"unknown section %s; the sections are [Rule], [Access], [Discover] and [Relay]",
			text_quote(name, quoted));
	else if (!strcmp(name, "Access"))
		parser->rule.access.present = true;
	else if (!strcmp(name, "Discover"))
		section_discover_enter(parser);
	else if (!strcmp(name, "Relay"))
		section_relay_enter(parser);
}

static const struct key *find_key(const struct section *section, const char *name)
{
	for (const struct key *key = section->keys; key->name; key++)
		if (!strcasecmp(name, key->name))
			return key;
	return NULL;
}

/* Says why a key is unknown: it is misspelt, it belongs to another section, or no section has it. */
static void complain_key(struct parser *parser, const char *name)
{
	const struct key *key = find_key(parser->section, name);
	char quoted[TEXT_QUOTE_MAX];

	(void)text_quote(name, quoted);
	if (key) {
		parser_complain(parser, "unknown key %s in [%s]; did you mean %s=?", quoted,
			parser->section->name, key->name);
		return;
	}
	if (!strcasecmp(name, "Socket") && find_key(parser->section, "Sockets")) {
		parser_complain(parser,
			"%s does not belong to [%s]; write Sockets= for socket units of systemd, or Socket= under [Discover] for an address",
			quoted, parser->section->name);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		key = find_key(&sections[i], name);
		if (key) {
			parser_complain(parser, "%s does not belong to [%s]; write %s= under [%s]", quoted,
				parser->section->name, key->name, sections[i].name);
			return;
		}
	}
	parser_complain(parser, "unknown key %s in [%s]; the keys are %s", quoted, parser->section->name,
		parser->section->known);
}

void section_assign(struct parser *parser, const char *name, char *value)
{
	for (const struct key *key = parser->section->keys; key->name; key++)
		if (!strcmp(name, key->name)) {
			key->assign(parser, key, value);
			return;
		}
	complain_key(parser, name);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl reload: have the broker read the rule files again, and wait for the outcome */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rule/match.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "ask.h"
#include "check/hazards.h"
#include "check/named_units.h"
#include "complain.h"
#include "ctl.h"
#include "host/manager.h"
#include "out/fields.h"
#include "view/rule_check.h"
#include "view/socket_rules.h"

static int show_problem(struct client *client, void *userdata)
{
	const char *line = ask_value(client, KEY_LINE, "0"), *warning = ask_value(client, KEY_WARNING, NULL);
	unsigned *n_problems = userdata;

	if (warning) {
		(void)fprintf(
			stderr, "%s:%s: warning: %s\n", ask_value(client, KEY_FILE, "?"), line, warning);
		return 0;
	}
	(*n_problems)++;
	if (strcmp(line, "0") == 0)
		(void)fprintf(stderr, "%s: %s\n", ask_value(client, KEY_FILE, "?"),
			ask_value(client, KEY_PROBLEM, "?"));
	else
		(void)fprintf(stderr, "%s:%s: %s\n", ask_value(client, KEY_FILE, "?"), line,
			ask_value(client, KEY_PROBLEM, "?"));
	return 0;
}

static void print_reloaded(const struct ctl *ctl, const struct client *client)
{
	static const enum message_key numbers[] = {
		KEY_GENERATION, KEY_RULES, KEY_MATCHES, KEY_ADDED, KEY_REMOVED, KEY_KEPT, KEY_NONE};
	static const enum message_key booleans[] = {KEY_NONE};
	struct json json = JSON(stdout);

	if (!ctl->json) {
		(void)printf(
			"reloaded: generation %s, rules: %s, matches: %s (added %s, removed %s, kept %s)\n",
			ask_value(client, KEY_GENERATION, "?"), ask_value(client, KEY_RULES, "?"),
			ask_value(client, KEY_MATCHES, "?"), ask_value(client, KEY_ADDED, "?"),
			ask_value(client, KEY_REMOVED, "?"), ask_value(client, KEY_KEPT, "?"));
		return;
	}
	json_open(&json, NULL, '{');
	fields_print_json(&client->message, &json, numbers, booleans);
	json_close(&json, '}');
}

/* A match in force that no packet reaches */
static int warn_if_never(struct client *client, void *userdata)
{
	const char *key = ask_value(client, KEY_KEY, ""), *value = ask_value(client, KEY_VALUE, "");
	char text[RULE_MATCH_TEXT_MAX];
	struct rule_match match;
	struct refusal refusal;

	(void)userdata;
	if (strcmp(key, "Stream") != 0 && strcmp(key, "Datagram") != 0)
		return 0;
	if (!rule_match_parse(value, &match, &refusal) && hazards_match_never(&match))
		(void)fprintf(stderr,
			"%s:%s: warning: '%s' never gets what %s=%s should match: the kernel applies no rule to %s; see 'usherctl check'\n",
			ask_value(client, KEY_FILE, "?"), ask_value(client, KEY_LINE, "0"),
			ask_value(client, KEY_NAME, ""), key, rule_match_format_brief(&match, text),
			hazards_match_never(&match));
	return 0;
}

/* The reload has succeeded, whatever becomes of this question. */
static int warn_of_never(struct client *client)
{
	struct refusal refusal;
	struct writer request;

	client_begin(&request, REQUEST_RULES);
	return ask(client, &request, NULL, 0, warn_if_never, NULL, &refusal) < 0 ? complain_memory()
										 : EXIT_SUCCESS;
}

/*
 * Socket units in the rules: one that is new there and listens already is handed in now. The service manager starts it as a
 * unit, which has its own process and messages.
 */
static int hand_in_units(const struct ctl *ctl, struct client *client)
{
	_cleanup_(socket_rules_deinit) struct socket_rules rules = SOCKET_RULES_NULL;
	_cleanup_(problems_deinit) struct problems warnings = PROBLEMS_NULL;
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	const char *name = ctl->instance_name;
	struct refusal refusal;
	char unit[96];
	int r = socket_rules_ask(client, NULL, &rules, &refusal);

	if (r || !rules.n)
		return r < 0 ? complain_memory() : EXIT_SUCCESS;
	(void)snprintf(unit, sizeof(unit), "usher-sockets%s%s.service", *name ? "@" : "", name);
	if (named_units_warn(&rules, name, &warnings) < 0)
		return complain_memory();
	rule_check_print_warnings(&warnings);
	r = manager_restart(&manager, unit, &refusal);
	if (r == REFUSED && !warnings.n)
		complain(
			"warning: the sockets of units in the rules are not handed in now: %s", refusal.text);
	return r < 0 ? complain_memory() : EXIT_SUCCESS;
}

int verb_reload(const struct ctl *ctl)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	unsigned n_problems = 0;
	struct refusal refusal;
	struct writer request;
	int r;

	r = ask_open(&client, ctl, ASK_RELOAD_TIMEOUT_MS, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot reload the rules");
	client_begin(&request, REQUEST_RELOAD);
	r = ask(&client, &request, NULL, 0, show_problem, &n_problems, &refusal);
	if (r == REFUSED && n_problems > 0) {
		complain(
			"cannot reload the rules: problems in the rule files: %u (%s); the rules in force have not changed",
			n_problems, errno_name(refusal.error));
		return EXIT_BAD_DATA;
	}
	if (r)
		return complain_refusal(r, &refusal, "cannot reload the rules");
	print_reloaded(ctl, &client);
	if (rule_check_warn_stray(ctl->instance.rule_dirs) < 0)
		return complain_memory();
	r = warn_of_never(&client);
	return r ? r : hand_in_units(ctl, &client);
}

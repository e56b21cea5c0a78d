/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl discover: the sockets that [Discover] in the rule files describes, their owners, and which are handed in */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../access/access.h"
#include "../rule/files.h"
#include "../scan/deliver.h"
#include "../scan/target.h"
#include "../util/descriptors.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/netns.h"
#include "../util/text.h"
#include "../util/transport.h"
#include "ask.h"
#include "complain.h"
#include "ctl.h"
#include "out/grid.h"
#include "view/rule_check.h"
#include "view/served.h"
#include "view/settings.h"

enum {
	NAME,
	PROTO,
	SOCKET,
	OWNER,
	PID,
	UID,
	UNIT,
	COOKIE,
	RESULT,
	REASON,
};

static const struct column columns[] = {
	[NAME] = {"NAME"},
	[PROTO] = {"PROTO"},
	[SOCKET] = {"SOCKET"},
	[OWNER] = {"OWNER"},
	[PID] = {"PID", JSON_NUMBER},
	[UID] = {"UID", JSON_NUMBER},
	[UNIT] = {"UNIT"},
	[COOKIE] = {"COOKIE"},
	[RESULT] = {"RESULT"},
	[REASON] = {"REASON"},
};

struct discovery {
	const struct ctl *ctl;
	struct client client; /* not connected if no broker runs and --dry-run needs none */
	pid_t broker;	      /* 0: none */
	struct rule_set *rules;
	struct access_table *access;
	struct scan_candidates candidates;
	struct grid grid;
	unsigned long n_good, n_already, n_spare, n_refused, n_missing; /* spare: the group has others */
};

static void discovery_deinit(struct discovery *discovery)
{
	client_close(&discovery->client);
	scan_candidates_deinit(&discovery->candidates);
	(void)access_table_free(discovery->access);
	(void)rule_set_free(discovery->rules);
	grid_deinit(&discovery->grid);
}

static int load_rules(struct discovery *discovery)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(image_freep) struct image *image = NULL;
	int r;

	r = files_load(discovery->ctl->instance.rule_dirs, &discovery->rules, &problems);
	if (r == 0)
		r = rule_check(discovery->rules, &image, &problems);
	if (r == 0)
		r = access_table_new(discovery->rules, NULL, &discovery->access);
	if (r == 0) {
		r = access_table_look_up(discovery->access);
		if (r >= 0)
			return EXIT_SUCCESS;
	}
	if (r < 0) {
		complain("cannot read the rules: %s (%s)", errno_text(-r), errno_name(-r));
		return EXIT_FAILURE;
	}
	rule_check_print_problems(&problems);
	complain("cannot discover: problems in the rule files: %zu (EBADMSG); no socket was looked for",
		problems.n);
	return EXIT_BAD_DATA;
}

static int check_names(const struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->ctl->n_names; i++) {
		const char *name = discovery->ctl->names[i];
		const struct rule *rule = rule_set_find(discovery->rules, name);

		if (!rule)
			complain(
				"cannot discover '%s': there is no rule of that name (ENOENT); write %s/%s.rule",
				name, discovery->ctl->instance.rule_dirs[0], name);
		else if (!rule->discover.present)
			complain("cannot discover '%s': it has no section [Discover] (ENOENT); add one to %s",
				name, rule->path);
		else
			continue;
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* Only a hand-in needs a broker. If there is one, it must serve this network namespace. */
static int find_broker(struct discovery *discovery)
{
	struct client *client = &discovery->client;
	struct refusal refusal;
	unsigned long pid;
	int r;

	r = ask_open(client, discovery->ctl, ASK_TIMEOUT_MS, &refusal);
	if (r == CLIENT_ABSENT && discovery->ctl->dry_run)
		return EXIT_SUCCESS;
	if (!r)
		r = served_check_namespace(client, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot discover");
	if (text_to_uint(ask_value(client, KEY_PID, "0"), INT32_MAX, &pid) == 0)
		discovery->broker = (pid_t)pid;
	return EXIT_SUCCESS;
}

static bool is_selected(const struct ctl *ctl, const struct rule *rule)
{
	if (!rule->discover.present)
		return false;
	for (size_t i = 0; i < ctl->n_names; i++)
		if (!strcmp(ctl->names[i], rule->name))
			return true;
	return ctl->n_names == 0;
}

/* ---- what is in force */

/* Does the broker have the rule as the file has it? */
static int compare_rule(struct discovery *discovery, const struct rule *rule, bool *ret_same)
{
	_cleanup_(settings_deinit) struct settings in_force = SETTINGS_NULL, file = SETTINGS_NULL;
	struct rule_set set = {.rules = (struct rule *)rule, .n_rules = 1};
	size_t n_added, n_removed;
	struct refusal refusal;
	struct writer request;
	int r;

	client_begin(&request, REQUEST_RULES);
	writer_put(&request, KEY_NAME, "%s", rule->name);
	r = ask(&discovery->client, &request, NULL, 0, settings_add_row, &in_force, &refusal);
	if (r == REFUSED && refusal.error == ENOENT)
		r = 0;
	if (!r)
		r = settings_add_set(&file, &set);
	if (r)
		return r < 0 ? r : 0; /* a broker that does not say is no reason to warn */
	settings_sort(&in_force);
	settings_sort(&file);
	settings_count_changes(&in_force, &file, &n_added, &n_removed);
	*ret_same = !n_added && !n_removed;
	return 0;
}

static int warn_of_changes(struct discovery *discovery)
{
	const struct rule_set *set = discovery->rules;

	for (size_t i = 0; discovery->broker && i < set->n_rules; i++) {
		bool same = true;

		if (!is_selected(discovery->ctl, &set->rules[i]))
			continue;
		if (compare_rule(discovery, &set->rules[i], &same) < 0)
			return complain_memory();
		if (!same)
			complain(
				"warning: %s has changed since the last reload: 'discover' goes by the file, the broker by the rules in force; see what would change with 'usherctl diff', then usherctl reload",
				set->rules[i].path);
	}
	return 0;
}

static int run_scan(struct discovery *discovery)
{
	const struct ctl *ctl = discovery->ctl;
	struct scan scan = {.rules = discovery->rules,
		.access = discovery->access,
		.name = ctl->n_names == 1 ? ctl->names[0] : NULL,
		.broker = discovery->broker};
	struct refusal refusal;
	int r;

	descriptors_raise_limit(); /* each socket costs two until it is handed in */
	r = netns_read_cookie(&scan.netns_cookie, &refusal);
	if (!r)
		r = scan_run(&scan, &discovery->candidates, &refusal);
	return r ? complain_refusal(r, &refusal, "cannot discover") : EXIT_SUCCESS;
}

static int hand_in_found(struct discovery *discovery)
{
	struct refusal refusal;

	for (size_t i = 0; i < discovery->candidates.n; i++) {
		struct scan_candidate *candidate = &discovery->candidates.items[i];

		if (is_selected(discovery->ctl, candidate->rule))
			continue;
		closep(&candidate->fd);
		candidate->fd = -1;
	}
	if (deliver_candidates(&discovery->client, &discovery->candidates, &refusal) == 0)
		return EXIT_SUCCESS;
	complain("cannot hand in everything: %s; run it again", refusal.text);
	return EXIT_FAILURE;
}

static int set_column(struct grid *grid, size_t column, unsigned long number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lu", number);
	return grid_set(grid, column, text);
}

static int add_candidate_row(struct discovery *discovery, const char *name, uint8_t protocol,
	const char *address, const char *result, const char *reason)
{
	struct grid *grid = &discovery->grid;
	int r;

	r = grid_row(grid);
	if (!r)
		r = grid_set(grid, NAME, name);
	if (!r)
		r = grid_set(grid, PROTO, protocol_word(protocol));
	if (!r)
		r = grid_set(grid, SOCKET, address);
	if (!r)
		r = grid_set(grid, RESULT, result);
	return r ? r : grid_set(grid, REASON, reason);
}

static const char *result_of(
	const struct discovery *discovery, const struct scan_candidate *candidate, const char **ret_reason)
{
	*ret_reason = NULL;
	if (!candidate->accepted) {
		*ret_reason = candidate->refusal.text;
		return "refused";
	}
	if (candidate->handed_in)
		return candidate->kept ? "already" : "handed-in";
	if (!discovery->ctl->dry_run)
		*ret_reason = "other sockets of its SO_REUSEPORT group are handed in, which is enough";
	return "accepted";
}

static int add_candidate(struct discovery *discovery, const struct scan_candidate *candidate)
{
	const struct diag_socket *socket = &candidate->socket;
	const struct process *owner = &candidate->owner;
	struct grid *grid = &discovery->grid;
	const char *result, *reason;
	char text[ENDPOINT_TEXT_MAX];
	int r;

	discovery->n_already += candidate->handed_in && candidate->kept;
	discovery->n_spare += candidate->accepted && !candidate->handed_in;
	discovery->n_good += candidate->accepted;
	discovery->n_refused += !candidate->accepted;
	result = result_of(discovery, candidate, &reason);
	(void)endpoint_format(socket->family, socket->address, socket->port, text);
	r = add_candidate_row(discovery, candidate->rule->name, socket->protocol, text, result, reason);
	(void)snprintf(text, sizeof(text), "sk:%" PRIx64, socket->cookie);
	if (!r)
		r = grid_set(grid, COOKIE, text);
	if (!r)
		r = set_column(grid, UID, owner->pid ? owner->uid : socket->uid);
	if (r || !owner->pid)
		return r;
	r = set_column(grid, PID, (unsigned long)owner->pid);
	if (!r)
		r = grid_set(grid, OWNER, owner->name);
	return r ? r : grid_set(grid, UNIT, owner->unit && *owner->unit ? owner->unit : NULL);
}

/* Is there a candidate that this Socket= describes? */
static bool is_there(const struct discovery *discovery, const struct rule *rule, uint8_t protocol,
	const struct rule_match *match)
{
	for (size_t i = 0; i < discovery->candidates.n; i++) {
		const struct scan_candidate *candidate = &discovery->candidates.items[i];

		if (candidate->rule == rule && candidate->socket.protocol == protocol &&
			target_describes(rule, match, &candidate->socket))
			return true;
	}
	return false;
}

static int add_missing(struct discovery *discovery, const struct rule *rule, uint8_t protocol)
{
	for (size_t i = 0; i < rule->discover.n_sockets; i++) {
		const struct rule_match *match = &rule->discover.sockets[i];
		char address[RULE_MATCH_TEXT_MAX], reason[64 + PATH_MAX];
		int r;

		if (is_there(discovery, rule, protocol, match))
			continue;
		discovery->n_missing++;
		(void)snprintf(reason, sizeof(reason),
			"nothing listens there; start the daemon, or correct Socket= in %s:%u", rule->path,
			match->line);
		r = add_candidate_row(discovery, rule->name, protocol,
			rule_match_format_brief(match, address), "missing", reason);
		if (r)
			return r;
	}
	return 0;
}

/* The rows of a rule: its candidates, then the Socket= at which nothing listens */
static int add_rule(struct discovery *discovery, const struct rule *rule)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	int r = 0;

	for (size_t i = 0; i < discovery->candidates.n && !r; i++)
		if (discovery->candidates.items[i].rule == rule)
			r = add_candidate(discovery, &discovery->candidates.items[i]);
	for (size_t i = 0; i < ARRAY_SIZE(protocols) && !r; i++)
		if (rule_has_match(rule, protocols[i], AF_UNSPEC))
			r = add_missing(discovery, rule, protocols[i]);
	return r;
}

static void print_summary(const struct discovery *discovery)
{
	unsigned long n_refused = discovery->n_refused + discovery->candidates.n_left_out;

	if (discovery->n_good + discovery->n_refused + discovery->n_missing)
		(void)printf("\n");
	if (discovery->ctl->dry_run) {
		(void)printf("accepted: %lu, refused: %lu, missing: %lu\n", discovery->n_good, n_refused,
			discovery->n_missing);
		return;
	}
	(void)printf("handed in: %lu, already: %lu, refused: %lu, missing: %lu\n",
		discovery->n_good - discovery->n_already - discovery->n_spare, discovery->n_already,
		n_refused, discovery->n_missing);
}

static int print_table(struct discovery *discovery)
{
	const struct ctl *ctl = discovery->ctl;
	const struct rule_set *set = discovery->rules;

	if (grid_init(&discovery->grid, ctl, columns, ARRAY_SIZE(columns)) < 0)
		return complain_memory();
	for (size_t i = 0; i < set->n_rules; i++)
		if (is_selected(ctl, &set->rules[i]) && add_rule(discovery, &set->rules[i]) < 0)
			return complain_memory();
	if (grid_print(&discovery->grid, "sockets") < 0)
		return complain_memory();
	if (discovery->n_refused && geteuid() != 0)
		complain(
			"warning: this user cannot see the processes of other users (EACCES); root may get other results");
	if (discovery->candidates.n_left_out)
		complain("%zu more sockets are refused and not shown", discovery->candidates.n_left_out);
	if (!ctl->json && !ctl->no_legend)
		print_summary(discovery);
	return discovery->n_refused + discovery->n_missing + discovery->candidates.n_left_out ? EXIT_FAILURE
											      : EXIT_SUCCESS;
}

int verb_discover(const struct ctl *ctl)
{
	_cleanup_(discovery_deinit) struct discovery discovery = {
		.ctl = ctl, .client = CLIENT_NULL, .grid = GRID_NULL};
	int r;

	if (!ctl->dry_run && geteuid() != 0) {
		complain(
			"cannot discover: only root may hand in sockets of other processes (EPERM); run it as root, or with --dry-run");
		return EXIT_NO_PERMISSION;
	}
	r = load_rules(&discovery);
	if (!r)
		r = check_names(&discovery);
	if (!r)
		r = find_broker(&discovery);
	if (!r)
		r = warn_of_changes(&discovery);
	if (!r)
		r = run_scan(&discovery);
	if (!r && !ctl->dry_run)
		r = hand_in_found(&discovery);
	return r ? r : print_table(&discovery);
}

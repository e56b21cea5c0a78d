/* SPDX-License-Identifier: BSD-3-Clause */

/* The rule files, and the names in them. */

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../../access/access.h"
#include "../../rule/files.h"
#include "../../rule/stray.h"
#include "../../scan/scan.h"
#include "../../util/cleanup.h"
#include "../../util/errno_name.h"
#include "../../util/netns.h"
#include "../complain.h"
#include "../host/name_units.h"
#include "../view/rule_check.h"
#include "doctor.h"

static void check_files(struct doctor *doctor)
{
	const struct problems *problems = &doctor->problems;
	char text[4096 + 512];
	size_t n_matches = 0;

	for (size_t i = 0; i < problems->n; i++) {
		doctor_found(
			doctor, REPORT_FAIL, "%s", problem_format(&problems->items[i], text, sizeof(text)));
		doctor_remedy(doctor, "fix the file, then %s check", doctor->command);
	}
	if (!doctor->files)
		return;
	for (size_t i = 0; i < doctor->files->n_rules; i++)
		n_matches += doctor->files->rules[i].n_matches;
	if (doctor->files->n_rules) {
		doctor_found(doctor, REPORT_OK, "the files are valid: rules: %zu, matches: %zu",
			doctor->files->n_rules, n_matches);
		return;
	}
	doctor_found(doctor, REPORT_INFO, "there are no rules: nothing is dispatched");
	doctor_remedy(doctor, "write %s/NAME.rule, see usher.rules(5)", doctor->instance.rule_dirs[0]);
}

/* For files_foreach_path() */
static void look_at_rule_file(const char *path, enum rule_file_role role, const char *by, void *userdata)
{
	struct doctor *doctor = userdata;

	if (role == RULE_FILE_MASKS)
		doctor_found(doctor, REPORT_INFO, "%s masks the rule of that name", path);
	else if (role == RULE_FILE_REPLACED)
		doctor_found(doctor, REPORT_INFO, "%s is read in place of %s", by, path);
}

static void check_masked(struct doctor *doctor)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	size_t before = doctor->report.totals[REPORT_INFO];
	char text[4096 + 512];
	int r = files_foreach_path(doctor->instance.rule_dirs, look_at_rule_file, doctor, &problems);

	if (r == -ENOMEM)
		doctor->report.out_of_memory = true;
	for (size_t i = 0; i < problems.n; i++)
		doctor_found(doctor, REPORT_SKIP, "what it masks was not looked at: %s",
			problem_format(&problems.items[i], text, sizeof(text)));
	if (!r && !problems.n && doctor->report.totals[REPORT_INFO] == before)
		doctor_found(doctor, REPORT_OK, "no rule file masks or replaces another");
}

static void look_at_names(struct doctor *doctor, const char *path)
{
	_cleanup_(closedirp) DIR *folder = opendir(path);
	const struct dirent *entry;

	if (!folder && errno != ENOENT)
		doctor_found(doctor, REPORT_SKIP, "the files in %s were not looked at (%s); run as root",
			path, errno_name(errno));
	while (folder && (entry = readdir(folder))) {
		if (stray_is_name(entry->d_name))
			doctor_found(doctor, REPORT_INFO, "%s/%s is not read: rule files are named NAME.rule",
				path, entry->d_name);
	}
}

static void check_ignored(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	for (const char *const *dir = doctor->instance.rule_dirs; *dir; dir++)
		look_at_names(doctor, *dir);
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"the rule directories have no file that looks like a rule and is not read");
}

static void check_in_force(struct doctor *doctor)
{
	_cleanup_(settings_deinit) struct settings files = SETTINGS_NULL;
	struct settings *in_force = &doctor->in_force;
	size_t n_added, n_removed;

	if (doctor_skips_unanswered(doctor))
		return;
	if (!doctor->files) {
		doctor_found(doctor, REPORT_SKIP, "the rule files have errors");
		return;
	}
	if (settings_add_set(&files, doctor->files) < 0) {
		doctor->report.out_of_memory = true;
		return;
	}
	settings_sort(&files);
	settings_sort(in_force);
	settings_count_changes(in_force, &files, &n_added, &n_removed);
	if (!n_added && !n_removed) {
		doctor_found(doctor, REPORT_OK, "the rules in force match the files");
		return;
	}
	doctor_found(doctor, REPORT_WARN,
		"the files have changed since the last reload (settings to add: %zu, to remove: %zu); the checks are about the rules in force",
		n_added, n_removed);
	doctor_remedy(doctor, "%s diff && %s reload", doctor->command, doctor->command);
}

/* ---- names without sockets, and sockets without rules */

static bool passes(const struct doctor *doctor, const char *name)
{
	const struct rule *rule = doctor->image ? rule_set_find(doctor->set, name) : NULL;

	return rule && rule->missing_pass;
}

/* Some seats of a name have sockets. One that has none matters only if packets came for it. */
static void look_at_gap(struct doctor *doctor, const struct seat *seat)
{
	if (passes(doctor, seat->name) || !seat->counters[SEAT_MISSING])
		return;
	doctor_found(doctor, REPORT_WARN,
		"'%s' has sockets, but none for %s over %s; packets that found none: %lu", seat->name,
		seat->protocol, seat->family, (unsigned long)seat->counters[SEAT_MISSING]);
	doctor_remedy(doctor,
		"hand one in (a dual-stack socket serves both families), or narrow the rule to what the service serves");
}

/* The unit in Sockets= of the rule */
static const char *find_named_unit(const struct doctor *doctor, const char *name)
{
	const struct rule *rule = doctor->image ? rule_set_find(doctor->set, name) : NULL;

	return rule && rule->sockets.n ? rule->sockets.items[0].text : NULL;
}

static void look_at_missing(struct doctor *doctor, const struct seat *seats, size_t n)
{
	struct name_fault units = {};
	struct refusal refusal;
	const char *name = seats->name;
	uint64_t n_missing = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		n_missing += seats[i].counters[SEAT_MISSING];
	if (passes(doctor, name)) {
		doctor_found(doctor, REPORT_INFO,
			"'%s' has no socket, and its packets are passed on (Missing=pass)", name);
		return;
	}
	/* which units hand in to another instance is up to their drop-ins */
	if (!*doctor->name)
		r = name_units_find(&doctor->manager, name, find_named_unit(doctor, name), &units, &refusal);
	if (r < 0)
		doctor->report.out_of_memory = true;
	if (!r && *units.text) {
		doctor_found(doctor, REPORT_WARN,
			"no socket is handed in as '%s', so its clients are refused; packets so far: %lu; %s",
			name, (unsigned long)n_missing, units.text);
		doctor_remedy(doctor, "%s%s%s", units.remedy, *units.command ? " " : "", units.command);
		return;
	}
	doctor_found(doctor, REPORT_WARN,
		"no socket is handed in as '%s', so its clients are refused; packets so far: %lu", name,
		(unsigned long)n_missing);
	doctor_remedy(doctor,
		"start the service; if it does not hand its sockets in, use %s hand-in %s or [Discover]",
		doctor->command, name);
}

static void check_sockets(struct doctor *doctor)
{
	const struct seats *seats = &doctor->seats;
	size_t before = doctor->report.n;

	if (doctor_skips_unanswered(doctor))
		return;
	for (size_t i = 0, n; i < seats->n; i += n) {
		size_t n_empty = 0;

		for (n = 0; i + n < seats->n && strcmp(seats->items[i].name, seats->items[i + n].name) == 0;
			n++)
			n_empty += !seats->items[i + n].n_places;
		if (n_empty == n)
			look_at_missing(doctor, &seats->items[i], n);
		for (size_t j = i; j < i + n && n_empty < n; j++)
			if (!seats->items[j].n_places)
				look_at_gap(doctor, &seats->items[j]);
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "every name that has a rule has a socket");
}

static bool is_unrouted(const struct seat *seat)
{
	return seat->n_places && place_is(seat->places[0], STATE_UNROUTED);
}

static void check_unrouted(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_unanswered(doctor))
		return;
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];

		if (!is_unrouted(seat))
			continue;
		doctor_found(doctor, REPORT_WARN, "'%s' has %zu %s for %s over %s to which no rule leads",
			seat->name, seat->n_places, seat->n_places == 1 ? "socket" : "sockets",
			seat->protocol, seat->family);
		doctor_remedy(doctor, "write %s/%s.rule and %s reload, or %s withdraw %s",
			doctor->instance.rule_dirs[0], seat->name, doctor->command, doctor->command,
			seat->name);
	}
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "a rule leads to every socket");
}

/* ---- [Discover] */

static bool is_seated(const struct doctor *doctor, const struct scan_candidate *candidate)
{
	for (size_t i = 0; i < doctor->seats.n; i++) {
		const struct seat *seat = &doctor->seats.items[i];

		for (size_t j = 0; j < seat->n_places && !strcmp(seat->name, candidate->rule->name); j++)
			if (doctor_find(doctor, seat->places[j]) &&
				doctor_find(doctor, seat->places[j])->cookie == candidate->socket.cookie)
				return true;
	}
	return false;
}

/* One socket of an SO_REUSEPORT group is enough. */
static bool is_group_seated(const struct doctor *doctor, const struct scan_candidates *candidates, size_t at)
{
	for (size_t i = 0; i < candidates->n; i++)
		if (candidates->items[i].rule == candidates->items[at].rule &&
			candidates->items[i].accepted && is_seated(doctor, &candidates->items[i]))
			return true;
	return false;
}

static void look_at_candidate(struct doctor *doctor, const struct scan_candidates *candidates, size_t at)
{
	const struct scan_candidate *candidate = &candidates->items[at];
	const struct diag_socket *socket = &candidate->socket;
	char where[ENDPOINT_TEXT_MAX];

	(void)endpoint_format(socket->family, socket->address, socket->port, where);
	if (!candidate->accepted) {
		doctor_found(doctor, REPORT_WARN, "'%s' does not get socket %s, which %s",
			candidate->rule->name, where, candidate->refusal.text);
		doctor_remedy(
			doctor, "see '%s discover --dry-run %s'", doctor->command, candidate->rule->name);
	} else if (!doctor->answer.r && !is_group_seated(doctor, candidates, at)) {
		doctor_found(doctor, REPORT_WARN,
			"[Discover] of '%s' describes socket %s, but it has not been handed in",
			candidate->rule->name, where);
		doctor_remedy(doctor, "systemctl enable --now usher-discover, or %s discover %s",
			doctor->command, candidate->rule->name);
	}
}

static bool has_candidate(const struct scan_candidates *candidates, const struct rule *rule)
{
	for (size_t i = 0; i < candidates->n; i++)
		if (candidates->items[i].rule == rule)
			return true;
	return false;
}

static bool has_socket(const struct doctor *doctor, const char *name)
{
	for (size_t i = 0; i < doctor->seats.n; i++)
		if (doctor->seats.items[i].n_places && strcmp(doctor->seats.items[i].name, name) == 0)
			return true;
	return false;
}

static void look_at_absent(
	struct doctor *doctor, const struct scan_candidates *candidates, const struct rule *rule)
{
	char where[RULE_MATCH_TEXT_MAX];

	if (!rule->discover.present || has_candidate(candidates, rule) || has_socket(doctor, rule->name))
		return;
	doctor_found(doctor, REPORT_WARN,
		"nothing listens at Socket=%s, where [Discover] of '%s' looks for a socket%s",
		rule_match_format_brief(&rule->discover.sockets[0], where), rule->name,
		rule->discover.n_sockets > 1 ? ", nor at its other addresses" : "");
	doctor_remedy(doctor, "start the daemon, or correct Socket= in %s:%u", rule->path,
		rule->discover.sockets[0].line);
}

static void scan(struct doctor *doctor)
{
	_cleanup_(access_table_freep) struct access_table *access = NULL;
	_cleanup_(scan_candidates_deinit) struct scan_candidates candidates = {};
	struct scan scan = {.rules = doctor->set, .broker = doctor->pid};
	struct refusal refusal = {};
	int r = access_table_new(doctor->set, NULL, &access);

	if (!r)
		r = access_table_look_up(access);
	if (r < 0) {
		doctor->report.out_of_memory = true;
		return;
	}
	scan.access = access;
	r = netns_read_cookie(&scan.netns_cookie, &refusal);
	if (!r)
		r = scan_run(&scan, &candidates, &refusal);
	if (r == -ENOMEM)
		doctor->report.out_of_memory = true;
	else if (r)
		doctor_found(doctor, REPORT_SKIP, "%s", r < 0 ? errno_text(-r) : refusal.text);
	for (size_t i = 0; i < candidates.n && !r; i++)
		look_at_candidate(doctor, &candidates, i);
	for (size_t i = 0; i < doctor->set->n_rules && !r; i++)
		look_at_absent(doctor, &candidates, &doctor->set->rules[i]);
}

static void check_discover(struct doctor *doctor)
{
	size_t before = doctor->report.n;

	if (doctor_skips_unread(doctor))
		return;
	if (!doctor->discovers) {
		doctor_found(doctor, REPORT_OK, "no rule has a section [Discover]");
		return;
	}
	if (doctor_skips_unprivileged(doctor) || doctor_skips_elsewhere(doctor))
		return;
	scan(doctor);
	/* what may be handed in was looked at nevertheless */
	if (doctor->report.n == before && doctor_skips_unanswered(doctor))
		return;
	if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK, "every socket that [Discover] describes is handed in");
}

static void check_accounts(struct doctor *doctor)
{
	_cleanup_(problems_deinit) struct problems unknown = PROBLEMS_NULL;
	const struct rule_set *set = doctor->set ? doctor->set : doctor->files;

	if (!set) {
		doctor_found(doctor, REPORT_SKIP, "the rule files have errors");
		return;
	}
	if (rule_check_accounts(set, &unknown) < 0)
		doctor->report.out_of_memory = true;
	for (size_t i = 0; i < unknown.n; i++) {
		doctor_found(doctor, REPORT_WARN, "%s:%u: %s", unknown.items[i].file, unknown.items[i].line,
			unknown.items[i].text);
		doctor_remedy(doctor,
			"correct %s:%u and run '%s reload', or create it: then the next hand-in finds it",
			unknown.items[i].file, unknown.items[i].line, doctor->command);
	}
	if (!unknown.n)
		doctor_found(doctor, REPORT_OK, "this host knows every user and group that the rules name");
}

const struct check rule_checks[] = {
	{"files", check_files},
	{"accounts", check_accounts},
	{"masked", check_masked},
	{"ignored", check_ignored},
	{"in-force", check_in_force},
	{"missing", check_sockets},
	{"unrouted", check_unrouted},
	{"discover", check_discover},
	{},
};

/* SPDX-License-Identifier: BSD-3-Clause */
#include "described_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../access/access.h"
#include "../../scan/scan.h"
#include "../../util/macro.h"
#include "../../util/netns.h"
#include "../view/in_force.h"

void described_socket_deinit(struct described_socket *described)
{
	free(described->file);
	*described = DESCRIBED_SOCKET_NULL;
}

static bool is_of_packet(const struct explanation *explanation)
{
	if (explanation->verdict == VERDICT_DISPATCHED || explanation->n_places ||
		explanation->foreign_namespace || geteuid() != 0)
		return false;
	for (size_t i = 0; i < explanation->settings.n; i++)
		if (strcmp(explanation->settings.items[i]->section, "Discover") == 0)
			return true;
	return false;
}

/* A socket that usher-discover accepts says more than those that it refuses. */
static const struct scan_candidate *choose_candidate(
	const struct scan_candidates *candidates, const struct asked *asked)
{
	const struct scan_candidate *chosen = NULL;

	for (size_t i = 0; i < candidates->n; i++)
		if (diag_serves(&candidates->items[i].socket, asked->family) &&
			(!chosen || (candidates->items[i].accepted && !chosen->accepted)))
			chosen = &candidates->items[i];
	return chosen;
}

static int describe(
	const struct scan_candidate *candidate, const struct rule *rule, struct described_socket *ret)
{
	char text[RULE_MATCH_TEXT_MAX];

	if (!candidate) {
		ret->what = DESCRIBED_ABSENT;
		ret->line = rule->discover.sockets[0].line;
		ret->file = strdup(rule->path);
		(void)snprintf(ret->where, sizeof(ret->where), "%s",
			rule_match_format_brief(&rule->discover.sockets[0], text));
		return ret->file ? 0 : -ENOMEM;
	}
	ret->what = candidate->accepted ? DESCRIBED_ACCEPTED : DESCRIBED_REFUSED;
	ret->refusal = candidate->refusal;
	(void)endpoint_format(
		candidate->socket.family, candidate->socket.address, candidate->socket.port, ret->where);
	ret->pid = candidate->owner.pid;
	(void)socket_owner_format(&candidate->socket, &candidate->owner, ret->who);
	return 0;
}

int described_socket_find(
	const struct asked *asked, const struct explanation *explanation, struct described_socket *ret)
{
	_cleanup_(rule_set_freep) struct rule_set *rules = NULL;
	_cleanup_(access_table_freep) struct access_table *access = NULL;
	_cleanup_(scan_candidates_deinit) struct scan_candidates candidates = {};
	struct scan scan = {
		.name = explanation->name, .protocol = asked->protocol, .broker = explanation->broker};
	const struct rule *rule;
	struct refusal refusal;
	int r;

	if (!is_of_packet(explanation))
		return 0;
	r = in_force_parse(&explanation->settings, &rules);
	if (r)
		return r < 0 ? r : 0;
	scan.rules = rules;
	rule = rule_set_find(rules, explanation->name);
	if (!rule || !rule->discover.present)
		return 0;
	r = access_table_new(rules, NULL, &access);
	if (r < 0)
		return r;
	if (access_table_look_up(access) < 0)
		return -ENOMEM;
	r = netns_read_cookie(&scan.netns_cookie, &refusal);
	scan.access = access;
	if (!r)
		r = scan_run(&scan, &candidates, &refusal);
	if (!r)
		r = describe(choose_candidate(&candidates, asked), rule, ret);
	/* other findings report bad files and failed scans */
	return r == -ENOMEM ? r : 0;
}

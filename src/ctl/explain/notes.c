/* SPDX-License-Identifier: BSD-3-Clause */

#include "notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../util/device.h"
#include "../../util/errno_name.h"
#include "../../util/prefix.h"
#include "../../util/transport.h"
#include "../host/socket_owner.h"
#include "../out/since.h"
#include "../view/relays.h"

/* ---- replies of UDP */

static void find_udp(const struct evidence *evidence, struct findings *findings)
{
	const struct explained_place *place = explanation_chosen(evidence->explanation);
	const struct asked *asked = evidence->asked;
	char own[INET6_ADDRSTRLEN], wanted[INET6_ADDRSTRLEN];
	struct finding *finding;

	if (asked->protocol != IPPROTO_UDP || !place || !place->family)
		return;
	(void)address_format(asked->family, asked->local, wanted);
	(void)address_format(place->family, place->address, own);
	if (place->port != asked->port) {
		finding = findings_add(findings, FINDING_WARN, "udp-port",
			"replies leave from the wrong port: the socket is bound to port %u, not %u; clients that check the source drop them",
			place->port, asked->port);
		finding_remedy(finding, "bind the service to port %u, on an address of its own", asked->port);
	}
	if (place->family == asked->family && address_is_same(place->family, place->address, asked->local))
		return;
	if (address_is_any(place->family, place->address))
		finding = findings_add(findings, FINDING_NOTE, "udp-address",
			"replies may leave from another address than %s: the route chooses it, unless the service sets the source (IP_PKTINFO)",
			wanted);
	else
		finding = findings_add(findings, FINDING_NOTE, "udp-address",
			"replies leave from the wrong address, %s instead of %s, unless the service sets the source (IP_PKTINFO)",
			own, wanted);
	finding_remedy(finding,
		"if clients get no reply, have the service set the source with IP_PKTINFO, as examples/udp_echo.py does");
}

/* ---- others */

static void find_programs(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	unsigned long n = explanation->n_programs > 1 ? explanation->n_programs - 1 : 0;
	struct finding *finding;

	if (!n)
		return;
	finding = findings_add(findings, explanation->n_chosen_before ? FINDING_WARN : FINDING_NOTE,
		"programs",
		"%lu more sk_lookup program%s in this namespace may choose another socket; this is what usher's own program does",
		n, n == 1 ? "" : "s");
	if (explanation->n_chosen_before && finding)
		(void)snprintf(finding->text + strlen(finding->text),
			sizeof(finding->text) - strlen(finding->text),
			". Packets that another program has decided first: %lu",
			explanation->n_chosen_before);
	finding_remedy(finding, "list them:");
	finding_command(finding, "bpftool link show");
}

/* Would the broker accept a socket that is bound there? */
static bool is_within_bound(const struct settings *settings, const struct diag_socket *socket)
{
	const uint8_t *address;
	int family = diag_address(socket, &address);
	struct refusal refusal;
	struct prefix prefix;
	bool limited = false;

	for (size_t i = 0; i < settings->n; i++) {
		const struct setting *setting = settings->items[i];

		if (strcmp(setting->section, "Access") != 0 || strcmp(setting->key, "Bound") != 0)
			continue;
		limited = true;
		if (strcmp(setting->value, "any") == 0 || (!prefix_parse(setting->value, &prefix, &refusal) &&
								  prefix_contains(&prefix, family, address)))
			return true;
	}
	return !limited;
}

static void find_bypassed(
	const struct evidence *evidence, const struct listener *taker, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	char text[LISTENER_TEXT_MAX], narrow[4096] = "narrow the rule";
	const char *name = explanation->name;
	struct finding *finding;

	if (explanation->n_covers)
		(void)snprintf(narrow, sizeof(narrow), "narrow %s in %s:%lu", explanation->covers[0].text,
			explanation->covers[0].file, explanation->covers[0].line);
	finding = findings_add(findings, FINDING_WARN, "bypassed", "%s would get it without the rule",
		evidence_listener_format(taker, text));
	/* the advice has to be one that the broker and the other findings do not contradict */
	if (taker->socket->mptcp || socket_owner_is_absent(taker->socket, &taker->owner))
		finding_remedy(finding, "%s, or write Missing=pass there", narrow);
	else if (!is_within_bound(&explanation->settings, taker->socket))
		finding_remedy(finding,
			"have it listen on an address within Bound= of '%s' and hand that socket in, %s, or write Missing=pass there",
			name, narrow);
	else
		finding_remedy(finding, "hand that socket in as '%s', %s, or write Missing=pass there", name,
			narrow);
}

/* Which device the packet comes by was not asked. */
static void find_bound_taker(
	const struct evidence *evidence, const struct listener *taker, struct findings *findings)
{
	char text[LISTENER_TEXT_MAX], name[DEVICE_TEXT_MAX];
	struct finding *finding;

	(void)device_format(taker->socket->interface, name);
	finding = findings_add(findings, FINDING_NOTE, "device",
		"%s takes what comes by %s; whether this packet does was not looked at",
		evidence_listener_format(taker, text), name);
	finding_remedy(finding, "say by which device it comes:");
	finding_command(finding, "usherctl explain %s %s --device %s",
		protocol_word(evidence->asked->protocol), evidence->asked->text, name);
}

static void find_listeners(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct listener *taker = host_view_taker(evidence->host);
	bool passed = !explanation->attached || explanation->verdict == VERDICT_NO_RULE ||
		      explanation->verdict == VERDICT_PASSED || explanation->verdict == VERDICT_YIELDED;
	char text[LISTENER_TEXT_MAX];
	struct finding *finding;

	if (explanation->attached && explanation->verdict == VERDICT_REFUSED && taker)
		find_bypassed(evidence, taker, findings);
	if (passed && host_view_bound_taker(evidence->host))
		find_bound_taker(evidence, host_view_bound_taker(evidence->host), findings);
	if (!passed || taker || explanation->foreign_namespace || evidence->host->sockets_unknown.error)
		return;
	if (host_view_bound_taker(evidence->host))
		return;
	finding = findings_add(findings, FINDING_FAIL, "no-listener",
		evidence->host->takers.n ? "what listens at %s gets nothing that comes by that device, and %s"
					 : "nothing listens at %s, and %s",
		evidence->asked->text,
		explanation->verdict == VERDICT_YIELDED
			? "the rule leaves it to what was counted there; usherd looks again within a second"
		: explanation->verdict == VERDICT_PASSED ? "the rule passes on what finds no socket"
							 : "no rule dispatches it");
	if (reach_is_to_many(&evidence->host->reach))
		finding_remedy(finding, "start the service that should listen");
	else if (explanation->attached && explanation->verdict == VERDICT_NO_RULE)
		finding_remedy(
			finding, "start the service that should listen, or write a rule: usher.rules(5)");
	if (evidence->host->v6only.n) {
		finding = findings_add(findings, FINDING_FAIL, "v6only", "%s is v6only: it takes no IPv4",
			evidence_listener_format(&evidence->host->v6only.items[0], text));
		finding_remedy(finding, "clear IPV6_V6ONLY on it, or have it listen on IPv4 as well");
	}
}

/* ---- files */

static void find_changes(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct rule_files *files = evidence->files;
	struct finding *finding;

	if (*files->refused) {
		/* after a reload that has failed, there is a finding with the reason */
		if (explanation->reload_failure)
			return;
		finding = findings_add(findings, FINDING_WARN, "files-changed",
			"the rule files have changed, and a reload would fail and change nothing: %s",
			files->refused);
		finding_remedy(finding, "fix that, then:");
		finding_command(finding, "usherctl reload");
		return;
	}
	if (!strcmp(files->name, explanation->name))
		finding = findings_add(findings, FINDING_WARN, "files-changed",
			"this is by the rules in force; after a reload, '%s' has other settings (%s): %s",
			files->name, files->file, files->changes);
	else if (*files->name)
		finding = findings_add(findings, FINDING_WARN, "files-changed",
			"this is by the rules in force; after a reload, the packet is for '%s' (%s:%u)",
			files->name, files->file, files->line);
	else
		finding = findings_add(findings, FINDING_WARN, "files-changed",
			"this is by the rules in force; after a reload, no rule matches the packet");
	finding_remedy(finding, "see what would change with 'usherctl diff', then:");
	finding_command(finding, "usherctl reload");
}

static void find_file_faults(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct rule_files *files = evidence->files;
	struct finding *finding;

	if (explanation->reload_failure) {
		finding = findings_add(findings, FINDING_WARN, "reload-failed",
			"the last reload failed, so the previous rules are still in force: %s",
			explanation->reload_failure);
		finding_remedy(finding, "fix that, then:");
		finding_command(finding, "usherctl reload");
	} else if (!files->rules) {
		finding = findings_add(findings, FINDING_WARN, "files-unknown",
			"the rule files cannot be compared with the rules in force: %s", files->problem);
		finding_remedy(finding, "see what is wrong with them:");
		finding_command(finding, "usherctl check");
	}
	if (files->rules && files->changed)
		find_changes(evidence, findings);
	if (files->masked && files->overridden && explanation->verdict != VERDICT_DISPATCHED) {
		finding = findings_add(findings, FINDING_WARN, "overridden",
			"%s would give the packet to '%s', but %s is read in its place", files->masked,
			files->masked_name, files->mask);
		finding_remedy(finding,
			"write the match there: of files with the same name, only the one in the first directory is read");
	} else if (files->masked && explanation->verdict != VERDICT_DISPATCHED) {
		finding = findings_add(findings, FINDING_WARN, "masked",
			"%s would give the packet to '%s', but %s masks that file", files->masked,
			files->masked_name, files->mask);
		finding_remedy(finding, "if that file should apply, remove the mask:");
		finding_command(finding, "rm %s && usherctl reload", files->mask);
	}
}

/* ---- where it goes on from here */

static bool is_relayed(const struct settings *settings)
{
	for (size_t i = 0; i < settings->n; i++)
		if (!strcmp(settings->items[i]->section, "Relay"))
			return true;
	return false;
}

static void find_relay(const struct evidence *evidence, struct findings *findings)
{
	const char *name = evidence->explanation->name;
	const struct tally_backend *backend = NULL;
	char usec[32], text[SINCE_TEXT_MAX];
	struct finding *finding;
	struct tally tally;
	const char *age;

	if (!*name || !is_relayed(&evidence->explanation->settings))
		return;
	switch (relays_look(name, &tally, &backend)) {
	case RELAY_ABSENT:
		finding = findings_add(findings, FINDING_NOTE, "relay-absent",
			"the rule has a section [Relay], and usher-relay@%s.service does not run; the first client starts it if a socket unit has it as Service=",
			name);
		finding_remedy(finding, "if clients get no answer, see why it did not start:");
		finding_command(finding, "systemctl status usher-relay@%s.service", name);
		return;
	case RELAY_UNREACHED:
		(void)snprintf(usec, sizeof(usec), "%" PRIu64, backend->last_usec);
		age = since_age(usec, text);
		finding = findings_add(findings, FINDING_WARN, "relay-unreached",
			"usher-relay resets the connection: it cannot connect to %s: %s (%s), %s ago",
			backend->text, errno_text((int)backend->last_error),
			errno_name((int)backend->last_error), age ? age : "?");
		finding_remedy(finding,
			"start the service there, or correct Connect= under [Relay]; the address counts in the network namespace of usher-relay@%s.service",
			name);
		return;
	case RELAY_WELL:
		(void)findings_add(findings, FINDING_NOTE, "relay",
			"usher-relay (pid %" PRId64 ") relays it to %s; connections: %" PRIu64 " of %u",
			tally.pid, tally.n_backends ? tally.backends[0].text : "?", tally.open, tally.limit);
	}
}

void notes_find(const struct evidence *evidence, struct findings *findings)
{
	const struct host_view *host = evidence->host;

	find_udp(evidence, findings);
	find_relay(evidence, findings);
	find_listeners(evidence, findings);
	find_programs(evidence, findings);
	find_file_faults(evidence, findings);
	if (host->sockets_unknown.error)
		(void)findings_add(
			findings, FINDING_WARN, "sockets-unknown", "%s", host->sockets_unknown.text);
}

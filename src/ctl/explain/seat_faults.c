/* SPDX-License-Identifier: BSD-3-Clause */

#include "seat_faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../util/transport.h"
#include "../out/since.h"
#include "device_faults.h"

/* ---- no socket */

/* "User=www-data Unit=nginx.service" of [Access] and so on, as they are in force */
static void list_settings(const struct explanation *explanation, bool bound, char *text, size_t size)
{
	size_t at = 0;

	*text = '\0';
	for (size_t i = 0; i < explanation->settings.n; i++) {
		const struct setting *setting = explanation->settings.items[i];

		if (strcmp(setting->section, "Access") != 0 || (strcmp(setting->key, "Bound") == 0) != bound)
			continue;
		if (bound)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", setting->value);
		else
			at += (size_t)snprintf(
				text + at, size - at, "%s%s=%s", at ? " " : "", setting->key, setting->value);
		if (at >= size)
			return;
	}
}

static void find_access(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	char who[256], bound[256];
	bool any;

	if (!explanation->settings.n)
		return;
	list_settings(explanation, false, who, sizeof(who));
	list_settings(explanation, true, bound, sizeof(bound));
	any = !*bound || strcmp(bound, "any") == 0;
	(void)findings_add(findings, FINDING_NOTE, "access",
		"'%s' accepts sockets from root%s%s, bound %s%s; refusals are in the journal",
		explanation->name, *who ? " and " : " only", who, any ? "anywhere" : "within ",
		any ? "" : bound);
}

/* Sockets that the name has for another protocol or family */
static void find_other_seats(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct asked *asked = evidence->asked;
	bool udp = asked->protocol == IPPROTO_UDP, ipv6 = asked->family == AF_INET6;
	struct finding *finding;

	if (explanation->n_seated[udp][!ipv6] && ipv6) {
		finding = findings_add(findings, FINDING_FAIL, "family",
			"'%s' has only IPv4 %s sockets, which cannot take IPv6", explanation->name,
			protocol_name(asked->protocol));
		finding_remedy(finding, "have the service listen on IPv6 as well, and hand that socket in");
	} else if (explanation->n_seated[udp][!ipv6]) {
		finding = findings_add(findings, FINDING_FAIL, "family",
			"'%s' has only IPv6 %s sockets, which cannot take IPv4: they are v6only, or bound to a single address",
			explanation->name, protocol_name(asked->protocol));
		finding_remedy(finding,
			"hand in an IPv4 socket as well, or one bound to [::] without IPV6_V6ONLY (BindIPv6Only=both in a socket unit, Bound=any in the rule)");
	}
	if (explanation->n_seated[!udp][0] + explanation->n_seated[!udp][1]) {
		finding = findings_add(findings, FINDING_FAIL, "protocol",
			"'%s' has %s sockets, which cannot take %s", explanation->name,
			protocol_name(udp ? IPPROTO_TCP : IPPROTO_UDP), protocol_name(asked->protocol));
		finding_remedy(finding, "hand in a %s socket as well", protocol_name(asked->protocol));
	}
}

static void find_rivals(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct cover *winner = &explanation->covers[0];

	for (size_t i = 1; i < explanation->n_covers; i++) {
		const struct cover *cover = &explanation->covers[i];
		bool shorter = cover->match.prefix.length < winner->match.prefix.length;
		struct finding *finding;

		if (!cover->has_socket)
			continue;
		finding = findings_add(findings, FINDING_WARN, "shadowed",
			"'%s' has a socket for the packet but loses to '%s': %s %s than %s", cover->name,
			winner->name, winner->text, shorter ? "has a longer prefix" : "has fewer ports",
			cover->text);
		finding_remedy(
			finding, "narrow or remove %s in %s:%lu", winner->text, winner->file, winner->line);
	}
}

static void find_mptcp(const struct evidence *evidence, struct findings *findings)
{
	const struct listener_list *list = &evidence->host->mptcp;
	char text[LISTENER_TEXT_MAX], more[32] = "";
	struct finding *finding;

	if (!list->n)
		return;
	if (list->n_all > 1)
		(void)snprintf(more, sizeof(more), ", and %zu more", list->n_all - 1);
	finding = findings_add(findings,
		list->items[0].socket->port == evidence->asked->port ? FINDING_WARN : FINDING_NOTE, "mptcp",
		"MPTCP listeners cannot be handed in: %s%s", evidence_listener_format(&list->items[0], text),
		more);
	finding_remedy(finding,
		"if that is the service, have it listen with plain TCP (Go: GODEBUG=multipathtcp=0)");
}

/* The rule has a [Discover] section, and the host could not be scanned for what it describes. */
static void find_undiscovered(const struct evidence *evidence, struct findings *findings)
{
	const struct settings *settings = &evidence->explanation->settings;

	for (size_t i = 0; i < settings->n; i++) {
		const struct setting *setting = settings->items[i];
		struct finding *finding;

		if (strcmp(setting->section, "Discover") != 0 || strcmp(setting->key, "Socket") != 0)
			continue;
		finding = findings_add(findings, FINDING_WARN, "discover",
			"usher-discover has handed in no socket that [Discover] describes (Socket=%s)",
			setting->value);
		finding_remedy(finding,
			"check that usher-discover runs; see what it finds and why it refuses that:");
		finding_command(finding, "usherctl discover --dry-run %s", evidence->explanation->name);
		return;
	}
}

static void find_discover(const struct evidence *evidence, struct findings *findings)
{
	const struct described_socket *described = evidence->described;
	const char *name = evidence->explanation->name;
	struct finding *finding;
	char pid[32] = "";

	if (described->pid)
		(void)snprintf(pid, sizeof(pid), " (pid %d)", described->pid);
	switch (described->what) {
	case DESCRIBED_UNKNOWN:
		find_undiscovered(evidence, findings);
		return;
	case DESCRIBED_ABSENT:
		finding = findings_add(findings, FINDING_WARN, "discover",
			"nothing listens at Socket=%s, where [Discover] looks for a socket for '%s'",
			described->where, name);
		finding_remedy(finding, "start the daemon, or correct Socket= in %s:%u", described->file,
			described->line);
		return;
	case DESCRIBED_REFUSED:
		finding = findings_add(findings, FINDING_WARN, "discover",
			"[Discover] describes socket %s%s, which %s", described->where, pid,
			described->refusal.text);
		finding_remedy(finding, "fix that; to see everything that was found:");
		finding_command(finding, "usherctl discover --dry-run %s", name);
		return;
	case DESCRIBED_ACCEPTED:
		finding = findings_add(findings, FINDING_WARN, "discover",
			"[Discover] describes the socket of %s at %s, but it has not been handed in",
			described->who, described->where);
		finding_remedy(finding,
			"hand it in once with 'usherctl discover %s', or start usher-discover:", name);
		finding_command(finding, "systemctl enable --now usher-discover");
		return;
	}
}

static void find_refused(const struct evidence *evidence, struct findings *findings)
{
	const struct refused *refused = &evidence->explanation->refused;
	bool same = refused->name && strcmp(refused->name, evidence->explanation->name) == 0;
	char age[SINCE_TEXT_MAX], pid[32] = "";
	struct finding *finding;

	if (!refused->reason || !refused->name || !since_age(refused->time, age))
		return;
	if (refused->pid)
		(void)snprintf(pid, sizeof(pid), "pid %d, ", refused->pid);
	finding = findings_add(findings, same ? FINDING_WARN : FINDING_NOTE, "hand-in-refused",
		"%s hand-in as '%s' was refused %s ago (%suid %u): %s", same ? "the last" : "a",
		refused->name, age, pid, refused->uid, refused->reason);
	if (same)
		finding_remedy(finding, "fix that, and have the service hand its socket in again");
}

static void find_missing_socket(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	bool passed = explanation->verdict == VERDICT_PASSED;
	const struct name_fault *units = evidence->units;
	struct finding *finding = findings_add(findings, passed ? FINDING_WARN : FINDING_FAIL, "missing",
		"no socket is handed in as '%s' (%s over %s)%s%s", explanation->name,
		protocol_name(evidence->asked->protocol), family_name(evidence->asked->family),
		*units->text ? ": " : "", units->text);

	if (*units->text) {
		finding_remedy(finding, "%s", units->remedy);
		finding_command(finding, "%s", units->command);
	} else {
		finding_remedy(finding,
			"start the service; the journal shows which sockets the name had, and which hand-ins were refused:");
		finding_command(finding, "journalctl USHER_NAME=%s", explanation->name);
	}
	find_refused(evidence, findings);
	find_other_seats(evidence, findings);
	find_discover(evidence, findings);
	find_mptcp(evidence, findings);
	find_access(evidence, findings);
}

/* ---- sockets that the kernel does not take */

static void suggest_restart(
	struct finding *finding, const struct explanation *explanation, const struct explained_place *place)
{
	if (place && place->unit) {
		finding_remedy(finding, "restart the service:");
		finding_command(finding, "systemctl restart %s", place->unit);
	} else {
		finding_remedy(finding, "restart the service, or withdraw the socket:");
		finding_command(finding, "usherctl withdraw %s", explanation->name);
	}
}

static void find_socket_fault(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	/* the errno is that of the last one */
	const struct explained_place *place = &explanation->places[explanation->n_places - 1];
	int severity = explanation->verdict == VERDICT_PASSED ? FINDING_WARN : FINDING_FAIL;
	char address[ENDPOINT_TEXT_MAX];
	const char *text = evidence_place_address(evidence, place, address);
	struct finding *finding;

	if (strcmp(explanation->error, "ESOCKTNOSUPPORT") == 0)
		finding = findings_add(findings, severity, "socket-state",
			"socket sk:%" PRIx64
			" at %s %s (ESOCKTNOSUPPORT): it has been shut down or connected",
			place->cookie, text,
			evidence->asked->protocol == IPPROTO_UDP
				? "no longer takes datagrams from new clients"
				: "no longer listens");
	else if (strcmp(explanation->error, "EAFNOSUPPORT") == 0)
		finding = findings_add(findings, severity, "family",
			"socket sk:%" PRIx64 " at %s cannot take %s (EAFNOSUPPORT)", place->cookie, text,
			family_name(evidence->asked->family));
	else
		finding = findings_add(findings, severity, "socket",
			"the kernel does not select socket sk:%" PRIx64 " at %s (%s)", place->cookie, text,
			*explanation->error ? explanation->error : "no reason given");
	suggest_restart(finding, explanation, place);
}

/* ---- sockets that are not served */

static void find_queue_fault(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct explained_place *place = explanation_chosen(explanation);
	const struct place_seen *seen;
	struct finding *finding;
	bool dead, full;
	int severity;
	char who[WHO_MAX];

	if (!place)
		return;
	seen = &evidence->host->places[place - explanation->places];
	full = seen->socket && diag_queue_is_full(seen->socket);
	/* of a reuseport group, other sockets may get the packet */
	severity = full && seen->n_group <= 1 ? FINDING_FAIL : FINDING_WARN;
	/* process 1 keeps what is in its store; a user who may not see its descriptors judges by the registrant */
	dead = place->held && seen->registrant_gone && seen->holder.pid <= 1;
	if (dead) {
		finding = findings_add(findings, severity, "nobody-accepts",
			"socket sk:%" PRIx64 " is held, but its process has ended: no process %s%s",
			place->cookie,
			evidence->asked->protocol == IPPROTO_UDP ? "reads its datagrams"
								 : "accepts its connections",
			seen->holder_known ? "" : ", unless one has claimed it");
		finding_remedy(finding,
			"start the service with the socket (or 'usherctl withdraw %s'):", explanation->name);
		finding_command(finding, "usherctl claim %s -- COMMAND", explanation->name);
	}
	if (!seen->socket || evidence->asked->protocol == IPPROTO_UDP || (!full && !dead))
		return;
	finding = findings_add(findings, severity, full ? "queue-full" : "queue",
		"the accept queue of sk:%" PRIx64 " holds %u of at most %u connections%s", place->cookie,
		seen->socket->queue, seen->socket->queue_max, full ? "; new ones get no answer" : "");
	if (full && !dead)
		finding_remedy(finding,
			"find out why %s does not accept; if it is only slow, raise its backlog in listen(2), and net.core.somaxconn",
			evidence_place_format(place, seen, who));
}

/* It stands for the sockets of a service, which has none. */
static void find_lone_stand_in(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct explained_place *place = explanation_chosen(explanation);
	const struct place_seen *seen = place ? &evidence->host->places[place - explanation->places] : NULL;
	char address[ENDPOINT_TEXT_MAX];
	struct finding *finding;

	if (!place || !place->stand_in || !seen->socket || seen->n_group > 1)
		return;
	finding = findings_add(findings, FINDING_FAIL, "stand-in",
		"socket sk:%" PRIx64
		" is a stand-in, from which nobody reads, and no other socket is bound to %s: datagrams are dropped",
		place->cookie, evidence_place_address(evidence, place, address));
	finding_remedy(finding, "have the service bind %s with SO_REUSEPORT, as the same user", address);
}

void seat_faults_find(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	bool by_device;

	if (!*explanation->name)
		return;
	if (explanation->verdict == VERDICT_YIELDED)
		return; /* what the seat has does not matter */
	by_device = device_faults_find(evidence, findings);
	if (explanation->verdict == VERDICT_DISPATCHED) {
		find_queue_fault(evidence, findings);
		find_lone_stand_in(evidence, findings);
		return;
	}
	if (explanation->n_places && !by_device)
		find_socket_fault(evidence, findings);
	else if (!explanation->n_places)
		find_missing_socket(evidence, findings);
	if (explanation->n_covers)
		find_rivals(evidence, findings);
}

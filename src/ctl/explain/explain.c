/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl explain: where a packet goes, why, and what keeps it from its socket */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pins/folder.h"
#include "../../rule/foreign_form.h"
#include "../../rule/match.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../../util/transport.h"
#include "../ask.h"
#include "../complain.h"
#include "../view/socket_rules.h"
#include "ingress.h"
#include "print.h"

/* Outcome of the readers besides 0: the question is wrong, and a complaint has been printed */
enum { WRONG = 1 };

/* ---- the question */

static int read_endpoint(const char *what, const char *text, struct rule_match *ret)
{
	struct refusal refusal;

	if (foreign_form_refuse(text, &refusal)) {
		complain("bad %s %s; ask about one address and one port at a time (%s)", what, refusal.text,
			errno_name(refusal.error));
		return WRONG;
	}
	if (rule_match_parse(text, ret, &refusal) || !rule_match_is_endpoint(ret)) {
		complain(
			"bad %s '%s': not an IP address and a port (EINVAL); write 192.0.2.1:443 or [2001:db8::1]:443, host names are not resolved",
			what, text);
		return WRONG;
	}
	if (address_is_any(ret->prefix.family, ret->prefix.address)) {
		complain(
			"bad %s '%s': nothing is sent to or from this address (EINVAL); write the one that clients use",
			what, text);
		return WRONG;
	}
	return 0;
}

static int read_device(const char *option, const char *name, struct asked *ret)
{
	uint32_t device = if_nametoindex(name);

	if (!device) {
		complain(
			"bad option %s '%s': no such device in this network namespace (ENODEV); 'ip link' lists them",
			option, name);
		return WRONG;
	}
	if (ret->device && ret->device != device) {
		complain(
			"bad option --device '%s': --from names another device (EINVAL); a packet comes by one of them",
			name);
		return WRONG;
	}
	ret->device = device;
	return 0;
}

static int read_source(const struct ctl *ctl, struct asked *ret)
{
	char endpoint[INGRESS_ENDPOINT_MAX], device[IF_NAMESIZE + 1];
	struct rule_match remote;

	if (!ctl->from)
		return 0;
	ingress_split(ctl->from, endpoint, device);
	if (read_endpoint("option --from", endpoint, &remote))
		return WRONG;
	if (remote.prefix.family != ret->family) {
		complain(
			"bad option --from '%s': mixes IPv4 and IPv6 with %s (EINVAL); give two IPv4 addresses or two IPv6 addresses",
			ctl->from, ret->text);
		return WRONG;
	}
	ret->has_remote = true;
	memcpy(ret->remote, remote.prefix.address, sizeof(ret->remote));
	ret->remote_port = remote.first;
	(void)endpoint_format(ret->family, remote.prefix.address, remote.first, ret->from);
	return *device ? read_device("--from", device, ret) : 0;
}

/* Decimal or, as ip(8) writes it, hexadecimal */
static int read_mark(const struct ctl *ctl, struct asked *ret)
{
	const char *text = ctl->mark;
	char *end = NULL;
	unsigned long mark;

	if (!text)
		return 0;
	errno = 0;
	mark = *text >= '0' && *text <= '9' ? strtoul(text, &end, 0) : 0;
	if (!end || *end || errno || mark > UINT32_MAX) {
		complain("bad option --mark '%s': not a number from 0 to 0xffffffff (EINVAL)", text);
		return WRONG;
	}
	ret->has_mark = true;
	ret->mark = (uint32_t)mark;
	return 0;
}

static int read_question(const struct ctl *ctl, struct asked *ret)
{
	const char *protocol = ctl->names[0];
	struct rule_match local;

	*ret = (struct asked){};
	if (!protocol_from_word(protocol, &ret->protocol)) {
		complain(
			"bad protocol '%s': neither tcp nor udp (EINVAL); write usherctl explain tcp 192.0.2.1:443",
			protocol);
		return WRONG;
	}
	if (read_endpoint("address", ctl->names[1], &local))
		return WRONG;
	ret->family = local.prefix.family;
	memcpy(ret->local, local.prefix.address, sizeof(ret->local));
	ret->port = local.first;
	(void)endpoint_format(ret->family, ret->local, ret->port, ret->text);
	if (read_source(ctl, ret) || read_mark(ctl, ret))
		return WRONG;
	return ctl->device ? read_device("--device", ctl->device, ret) : 0;
}

/* ---- no broker */

static int complain_absent(const struct ctl *ctl, const struct asked *asked, const struct refusal *refusal)
{
	static const char *const states[] = {
		[PINS_FOLDER_NONE] = "nothing is dispatched: there are no pins in",
		[PINS_FOLDER_ATTACHED] = "dispatch goes on without it, through the pins in",
		[PINS_FOLDER_LEFTOVER] = "nothing is dispatched: there is no link in",
		[PINS_FOLDER_UNKNOWN] = "dispatch may go on: this user may not read",
	};
	struct refusal longer;

	(void)refuse(&longer, refusal->error, "%s; %s %s", refusal->text,
		states[pins_folder_look(ctl->instance.pins)], ctl->instance.pins);
	return complain_refusal(
		CLIENT_ABSENT, &longer, "cannot explain %s %s", protocol_word(asked->protocol), asked->text);
}

/* Only of the default instance: which units hand in to another one is up to their drop-ins. */
static int find_units(const struct ctl *ctl, const struct explanation *explanation, struct name_fault *units)
{
	_cleanup_(socket_rules_deinit) struct socket_rules rules = SOCKET_RULES_NULL;
	_cleanup_(manager_deinit) struct manager manager = MANAGER_NULL;
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	int r;

	if (!*explanation->name || explanation->n_places || *ctl->instance_name)
		return 0;
	r = ask_open(&client, ctl, ASK_TIMEOUT_MS, &refusal);
	if (!r)
		r = socket_rules_ask(&client, NULL, &rules, &refusal);
	if (!r)
		r = name_units_find(&manager, explanation->name, socket_rules_find(&rules, explanation->name),
			units, &refusal);
	return r < 0 ? r : 0;
}

/* ---- packet filters */

static int follow_filters(
	const struct asked *asked, const struct explanation *explanation, struct passage *ret)
{
	const struct probe_question question = {
		.family = asked->family,
		.protocol = asked->protocol,
		.destination = asked->local,
		.source = asked->has_remote ? asked->remote : NULL,
		.port = asked->port,
		.source_port = asked->remote_port,
		.device = asked->device,
		.has_mark = asked->has_mark,
		.mark = asked->mark,
	};

	/* those of that namespace are not visible here */
	return explanation->foreign_namespace ? 0 : passage_read(&question, ret);
}

/* Packet filters send the packet to another destination: the rest is about that one. Return: as explanation_read(). */
static int follow_destination(const struct ctl *ctl, const struct passage *passage, struct asked *asked,
	struct explanation *explanation, struct refusal *refusal)
{
	memcpy(asked->local, passage->destination, sizeof(asked->local));
	asked->port = passage->port;
	(void)endpoint_format(asked->family, asked->local, asked->port, asked->text);
	explanation_deinit(explanation);
	if (ingress_find(asked) < 0)
		return -ENOMEM;
	return explanation_read(ctl, asked, explanation, refusal);
}

int verb_explain(const struct ctl *ctl)
{
	_cleanup_(passage_deinit) struct passage passage = PASSAGE_NULL;
	_cleanup_(guard_deinit) struct guard guard = GUARD_NULL;
	_cleanup_(explanation_deinit) struct explanation explanation = EXPLANATION_NULL;
	_cleanup_(host_view_deinit) struct host_view host = {};
	_cleanup_(rule_files_deinit) struct rule_files files = RULE_FILES_NULL;
	_cleanup_(described_socket_deinit) struct described_socket described = DESCRIBED_SOCKET_NULL;
	_cleanup_(diagnosis_deinit) struct diagnosis diagnosis = {};
	struct asked question, asked;
	struct name_fault units = {};
	const struct evidence evidence = {
		&question, &asked, &passage, &explanation, &host, &guard, &files, &described, &units};
	struct refusal refusal;
	int r;

	if (read_question(ctl, &question))
		return EXIT_USAGE;
	if (ingress_find(&question) < 0)
		return complain_memory();
	asked = question;
	r = explanation_read(ctl, &asked, &explanation, &refusal);
	if (!r && follow_filters(&question, &explanation, &passage) < 0)
		return complain_memory();
	if (!r && passage.sent)
		r = follow_destination(ctl, &passage, &asked, &explanation, &refusal);
	if (r == CLIENT_ABSENT)
		return complain_absent(ctl, &asked, &refusal);
	if (r)
		return complain_refusal(
			r, &refusal, "cannot explain %s %s", protocol_word(asked.protocol), asked.text);
	r = host_view_read(&asked, &explanation, &host);
	if (!r)
		r = guard_read(&asked, &explanation, &host, &guard);
	if (!r)
		r = rule_files_read(&asked, &explanation, &files);
	if (!r)
		r = described_socket_find(&asked, &explanation, &described);
	if (!r)
		r = find_units(ctl, &explanation, &units);
	if (!r)
		r = diagnosis_make(&evidence, &diagnosis);
	if (r)
		return complain_memory();
	if (ctl->json)
		explain_print_json(&evidence, &diagnosis);
	else if (explain_print_text(ctl, &evidence, &diagnosis) < 0)
		return complain_memory();
	switch (diagnosis.arrives) {
	case ARRIVAL_YES:
		return EXIT_SUCCESS;
	case ARRIVAL_UNDECIDED:
		return EXIT_UNDECIDED;
	default:
		return EXIT_FAILURE;
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard_faults.h"

#include <net/if.h>
#include <stdio.h>

#include "../../util/device.h"
#include "../../util/transport.h"

static void suggest_question(const struct evidence *evidence, struct finding *finding)
{
	const struct guard *guard = evidence->guard;
	const struct asked *asked = evidence->question;
	char device[IF_NAMESIZE + 16] = "", name[IF_NAMESIZE];
	const char *from = asked->has_remote ? asked->from : guard->prefix ? "ADDRESS:PORT" : "";

	if (asked->device && if_indextoname(asked->device, name))
		(void)snprintf(device, sizeof(device), " --device %s", name);
	else if (guard->devices)
		(void)snprintf(device, sizeof(device), " --device NAME");
	finding_remedy(finding, "say what is known of the packet:");
	finding_command(finding, "usherctl explain %s %s%s%s%s", protocol_word(asked->protocol), asked->text,
		*from ? " --from " : "", from, device);
}

static void find_source(const struct evidence *evidence, struct findings *findings)
{
	const struct guard *guard = evidence->guard;
	const struct asked *asked = evidence->asked;
	char source[INET6_ADDRSTRLEN] = "any address", prefix[PREFIX_TEXT_MAX], allowed[ADMISSION_TEXT_MAX];
	struct finding *finding;

	(void)prefix_format(&guard->prefix->prefix, prefix);
	(void)admission_format_allowed(&guard->admission, asked->family, allowed);
	if (guard->verdict == GUARD_OPEN) {
		finding = findings_add(findings, FINDING_NOTE, "unit-admits",
			"%s receives nothing from %s (IPAddressDeny= of %s), but for what IPAddressAllow= admits: %s",
			guard->unit, prefix, guard->prefix->unit, allowed);
		suggest_question(evidence, finding);
		return;
	}
	if (asked->has_remote)
		(void)address_format(asked->family, asked->remote, source);
	finding = findings_add(findings, FINDING_FAIL, "unit-denies",
		"%s receives nothing from %s: IPAddressDeny=%s of %s, and IPAddressAllow= admits %s",
		guard->unit, source, prefix, guard->prefix->unit, allowed);
	finding_remedy(finding, "if it should, allow the source:");
	finding_command(finding, "systemctl set-property %s IPAddressAllow=%s", guard->unit,
		asked->has_remote ? source : "ADDRESS");
}

static void find_device(const struct evidence *evidence, struct findings *findings)
{
	const struct guard *guard = evidence->guard;
	char device[DEVICE_TEXT_MAX];
	struct finding *finding;

	finding = findings_add(findings, guard->verdict == GUARD_REFUSES ? FINDING_FAIL : FINDING_NOTE,
		guard->verdict == GUARD_REFUSES ? "unit-denies" : "unit-admits",
		guard->devices->allows
			? "%s receives only what comes by %s (RestrictNetworkInterfaces= of %s)"
			: "%s receives nothing that comes by %s (RestrictNetworkInterfaces=~ of %s)",
		guard->unit, guard->devices->names, guard->devices->unit);
	if (guard->verdict == GUARD_OPEN)
		suggest_question(evidence, finding);
	else
		finding_remedy(finding, "if it should receive what comes by %s, change that setting",
			device_format(evidence->asked->device, device));
}

void guard_faults_find(const struct evidence *evidence, struct findings *findings)
{
	const struct guard *guard = evidence->guard;
	struct finding *finding;

	if (guard->prefix)
		find_source(evidence, findings);
	if (guard->devices)
		find_device(evidence, findings);
	if (*guard->program) {
		finding = findings_add(findings, FINDING_NOTE, "not-looked-at",
			"not looked at: BPF program %s sees what the socket receives, by its cgroup",
			guard->program);
		finding_remedy(finding, "see whether that is about this packet:");
		finding_command(finding, "bpftool cgroup show %s effective", guard->folder);
	}
	if (guard->gone) {
		finding = findings_add(findings, FINDING_NOTE, "not-looked-at",
			"not looked at: BPF programs of the cgroup in which the socket was created, which is gone; there are some that may be those");
		finding_remedy(finding,
			"have the service hand in a new socket, or see which programs of the type cgroup_skb there are:");
		finding_command(finding, "bpftool prog list");
	}
	if (guard->unknown.error)
		(void)findings_add(findings, FINDING_WARN, "filters-unknown",
			"which packets %s admits was not looked at: %s", guard->unit, guard->unknown.text);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "device_faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../util/device.h"
#include "../../util/transport.h"
#include "../host/vrf.h"

bool device_is_open(const struct evidence *evidence)
{
	const struct explained_place *place = explanation_chosen(evidence->explanation);

	return place && !evidence->asked->ingress && evidence_place_device(evidence, place);
}

/* The question again, with that device */
static void suggest_question(const struct asked *asked, uint32_t device, struct finding *finding)
{
	char name[DEVICE_TEXT_MAX], mark[32] = "";

	if (asked->has_mark)
		(void)snprintf(mark, sizeof(mark), " --mark 0x%x", asked->mark);
	finding_remedy(
		finding, "if it comes by that device, ask for it, otherwise for the one by which it comes:");
	finding_command(finding, "usherctl explain %s %s%s%s --device %s%s", protocol_word(asked->protocol),
		asked->text, *asked->from ? " --from " : "", asked->from, device_format(device, name), mark);
}

static void find_open(
	const struct evidence *evidence, const struct explained_place *place, struct findings *findings)
{
	uint32_t device = evidence_place_device(evidence, place);
	char address[ENDPOINT_TEXT_MAX], name[DEVICE_TEXT_MAX];

	suggest_question(evidence->asked, device,
		findings_add(findings, FINDING_NOTE, "device",
			"socket sk:%" PRIx64
			" at %s takes only packets that come by %s; whether this packet does was not looked at",
			place->cookie, evidence_place_address(evidence, place, address),
			device_format(device, name)));
}

static void find_passed_over(const struct evidence *evidence, const struct explained_place *place,
	const struct explained_place *instead, struct findings *findings)
{
	char address[ENDPOINT_TEXT_MAX], by[EVIDENCE_DEVICE_MAX], other[ENDPOINT_TEXT_MAX], who[WHO_MAX];
	struct finding *finding;

	finding = findings_add(findings, FINDING_NOTE, "device",
		"socket sk:%" PRIx64 " at %s is passed over, for the packet comes by %s (ENODEV): sk:%" PRIx64
		" at %s of %s gets it",
		place->cookie, evidence_place_address(evidence, place, address),
		evidence_device_format(evidence->asked, by), instead->cookie,
		evidence_place_address(evidence, instead, other),
		evidence_place_format(
			instead, &evidence->host->places[instead - evidence->explanation->places], who));
	finding_remedy(finding,
		"if that socket should get it, bind it to no device (BindToDevice= of a socket unit, SO_BINDTODEVICE)");
}

static void find_refusing(
	const struct evidence *evidence, const struct explained_place *place, struct findings *findings)
{
	char address[ENDPOINT_TEXT_MAX], by[EVIDENCE_DEVICE_MAX], name[DEVICE_TEXT_MAX];
	bool by_vrf = evidence->asked->by_vrf;
	int severity = evidence->explanation->verdict == VERDICT_PASSED ? FINDING_WARN : FINDING_FAIL;
	struct finding *finding;

	finding = findings_add(findings, severity, "device",
		"socket sk:%" PRIx64 " at %s does not get what comes by %s (ENODEV): it is bound to a device",
		place->cookie, evidence_place_address(evidence, place, address),
		evidence_device_format(evidence->asked, by));
	finding_remedy(finding,
		by_vrf ? "hand in a socket that is bound to %s (BindToDevice= of a socket unit, SO_BINDTODEVICE)"
		       : "hand in a socket that is bound to %s or to no device (BindToDevice= of a socket unit, SO_BINDTODEVICE)",
		device_format(evidence->asked->ingress, name));
}

/* The program cannot see whether the kernel would give packets of VRFs to such a socket. */
static void find_open_to_vrf(
	const struct evidence *evidence, const struct explained_place *place, struct findings *findings)
{
	const struct asked *asked = evidence->asked;
	char address[ENDPOINT_TEXT_MAX], vrf[DEVICE_TEXT_MAX];
	struct finding *finding;

	if (!asked->by_vrf || evidence_place_device(evidence, place) || vrf_is_open(asked->protocol))
		return;
	(void)device_format(asked->ingress, vrf);
	finding = findings_add(findings, FINDING_WARN, "vrf",
		"socket sk:%" PRIx64
		" at %s is bound to no device: the kernel would give it no packet of VRF %s (net.ipv4.%s_l3mdev_accept=0), usher does, and the reply does not leave by %s",
		place->cookie, evidence_place_address(evidence, place, address), vrf,
		protocol_word(asked->protocol), vrf);
	finding_remedy(finding,
		"if the service should serve %s, bind a socket of its own to it (BindToDevice=%s in a socket unit, SO_BINDTODEVICE) and hand it in last; otherwise limit the rule to addresses that are not in %s",
		vrf, vrf, vrf);
}

bool device_faults_find(const struct evidence *evidence, struct findings *findings)
{
	const struct explanation *explanation = evidence->explanation;
	const struct explained_place *chosen = explanation_chosen(explanation);
	bool any = false;

	if (chosen && device_is_open(evidence))
		find_open(evidence, chosen, findings);
	if (chosen)
		find_open_to_vrf(evidence, chosen, findings);
	if (!evidence->asked->ingress)
		return false;
	for (size_t i = 0; i < explanation->n_places && &explanation->places[i] != chosen; i++) {
		const struct explained_place *place = &explanation->places[i];
		uint32_t device = evidence_place_device(evidence, place);

		if (!device || device == evidence->asked->ingress)
			continue;
		if (chosen)
			find_passed_over(evidence, place, chosen, findings);
		else
			find_refusing(evidence, place, findings);
		any = true;
	}
	return any && !chosen && strcmp(explanation->error, "ENODEV") == 0;
}

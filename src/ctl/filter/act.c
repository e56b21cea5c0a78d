/* SPDX-License-Identifier: BSD-3-Clause */
#include "act.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/address.h"

void acts_deinit(struct acts *acts)
{
	free(acts->items);
	*acts = ACTS_NULL;
}

const struct act *acts_certain(const struct acts *acts, bool sent)
{
	for (size_t i = acts->n; i-- > 0;)
		if (!acts->items[i].doubt.causes && (acts->items[i].kind == ACT_SENT) == sent)
			return &acts->items[i];
	return NULL;
}

bool act_keeps(const struct act *act)
{
	return act->kind == ACT_DROP || act->kind == ACT_REJECT;
}

static void format_destination(const struct act *act, int family, char *text, size_t size)
{
	const struct sent *sent = &act->sent;
	char endpoint[ENDPOINT_TEXT_MAX];

	if (sent->address_known && sent->port_known)
		(void)snprintf(
			text, size, "%s", endpoint_format(family, sent->address, sent->port, endpoint));
	else if (sent->of_device && sent->port_known)
		(void)snprintf(text, size, "port %u of the device by which it comes", sent->port);
	else
		(void)snprintf(text, size, "another destination, which is one of several");
}

const char *act_format(const struct act *act, int family, char text[static ACT_TEXT_MAX])
{
	char place[600], destination[128];

	if (act->handle)
		(void)snprintf(place, sizeof(place), "rule handle %" PRIu64 " of chain '%s %s %s'",
			act->handle, ruleset_family(act->family), act->table, act->chain);
	else
		(void)snprintf(place, sizeof(place), "the policy of chain '%s %s %s'",
			ruleset_family(act->family), act->table, act->chain);
	format_destination(act, family, destination, sizeof(destination));
	switch (act->kind) {
	case ACT_DROP:
		(void)snprintf(text, ACT_TEXT_MAX, "%s drops it", place);
		break;
	case ACT_REJECT:
		(void)snprintf(text, ACT_TEXT_MAX, "%s rejects it", place);
		break;
	case ACT_SENT:
		(void)snprintf(text, ACT_TEXT_MAX, "%s sends it to %s", place, destination);
		break;
	case ACT_SOCKET:
		(void)snprintf(text, ACT_TEXT_MAX,
			"%s gives it to a transparent socket that listens at %s, if there is one (TPROXY)",
			place, destination);
		break;
	case ACT_QUEUE:
		(void)snprintf(text, ACT_TEXT_MAX, "%s gives it to a program, which decides (queue)", place);
		break;
	case ACT_GONE:
		(void)snprintf(text, ACT_TEXT_MAX, "%s takes it away", place);
		break;
	}
	return text;
}

const char *act_format_doubt(const struct act *act, char text[static ACT_TEXT_MAX])
{
	const struct doubt *doubt = &act->doubt;
	const char *asked = "";
	char rule[320] = "";

	if ((doubt->causes & CAUSE_SOURCE) && (doubt->causes & CAUSE_DEVICE))
		asked = "the source and the device, which were not asked for";
	else if (doubt->causes & CAUSE_SOURCE)
		asked = "the source, which was not asked for";
	else if (doubt->causes & CAUSE_DEVICE)
		asked = "the device, which was not asked for";
	if (doubt->handle && (doubt->handle != act->handle || strcmp(doubt->chain, act->chain) != 0))
		(void)snprintf(rule, sizeof(rule), " (rule handle %" PRIu64 " of chain '%s')", doubt->handle,
			doubt->chain);
	(void)snprintf(text, ACT_TEXT_MAX, "that depends on %s%s%s%s%s", asked,
		*asked && *doubt->what ? " and on " : "", doubt->what,
		*doubt->what ? ", which was not looked at" : "", rule);
	return text;
}

const char *act_format_command(const struct act *act, char text[static ACT_TEXT_MAX])
{
	(void)snprintf(text, ACT_TEXT_MAX, "nft -a list chain %s %s %s", ruleset_family(act->family),
		act->table, act->chain);
	return text;
}

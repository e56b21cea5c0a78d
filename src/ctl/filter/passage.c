/* SPDX-License-Identifier: BSD-3-Clause */
#include "passage.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../util/array.h"
#include "../../util/cleanup.h"
#include "device_programs.h"
#include "legacy.h"

void passage_deinit(struct passage *passage)
{
	acts_deinit(&passage->acts);
	free(passage->unseen);
	*passage = PASSAGE_NULL;
}

bool passage_is_open(const struct passage *passage)
{
	for (size_t i = 0; i < passage->acts.n; i++)
		if (passage->acts.items[i].doubt.causes)
			return true;
	return passage->loopback == LOOPBACK_OPEN || passage->n_unseen || passage->unknown.error ||
	       passage->devices_unknown.error;
}

bool passage_may_send(const struct passage *passage)
{
	for (size_t i = 0; i < passage->acts.n; i++)
		if (passage->acts.items[i].doubt.causes && !act_keeps(&passage->acts.items[i]))
			return true;
	return false;
}

/* ---- what was not looked at */

const char *unseen_format(const struct unseen *unseen, char text[static UNSEEN_TEXT_MAX])
{
	static const char *const formats[] = {
		[UNSEEN_LEGACY] = "tables of iptables-legacy have rules: ",
		[UNSEEN_XDP] = "an XDP program sees packets before the packet filters do, at ",
		[UNSEEN_TC] = "filters or programs of tc see packets before the packet filters do, at ",
		[UNSEEN_BRIDGE] = "chains of the family bridge see what comes by ",
	};

	(void)snprintf(text, UNSEEN_TEXT_MAX, "%s%s", formats[unseen->kind], unseen->name);
	return text;
}

const char *unseen_format_command(const struct unseen *unseen, int family, char text[static UNSEEN_TEXT_MAX])
{
	switch (unseen->kind) {
	case UNSEEN_LEGACY:
		(void)snprintf(text, UNSEEN_TEXT_MAX, "%s",
			family == AF_INET ? "iptables-legacy-save" : "ip6tables-legacy-save");
		break;
	case UNSEEN_XDP:
		(void)snprintf(text, UNSEEN_TEXT_MAX, "ip link show dev %s", unseen->name);
		break;
	case UNSEEN_TC:
		(void)snprintf(text, UNSEEN_TEXT_MAX, "tc filter show dev %s ingress", unseen->name);
		break;
	case UNSEEN_BRIDGE:
		(void)snprintf(text, UNSEEN_TEXT_MAX, "nft -a list ruleset bridge");
		break;
	}
	return text;
}

static int add_unseen(struct passage *passage, enum unseen_kind kind, const char *name)
{
	struct unseen *unseen;

	if (ARRAY_RESERVE(passage->unseen, passage->n_unseen) < 0)
		return -ENOMEM;
	unseen = &passage->unseen[passage->n_unseen++];
	unseen->kind = kind;
	(void)snprintf(unseen->name, sizeof(unseen->name), "%s", name);
	return 0;
}

/* ---- iptables-legacy */

static int look_at_legacy(int family, struct passage *passage)
{
	char tables[64];
	int r;

	r = legacy_find(family, tables, sizeof(tables), &passage->unknown);
	if (r)
		return r;
	return *tables ? add_unseen(passage, UNSEEN_LEGACY, tables) : 0;
}

/* ---- devices */

static bool has_bridge_chains(const struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->n_chains; i++)
		if (ruleset->chains[i].base && !ruleset->chains[i].dormant &&
			ruleset->chains[i].family == NFPROTO_BRIDGE)
			return true;
	return false;
}

/* A packet whose device is not known may come by any but the loopback device. */
static bool may_come_by(const struct probe *probe, const struct probe_question *question, uint32_t device)
{
	if (question->device)
		return question->device == device;
	return probe->own ? probe->device == device : device != 1;
}

static int look_at_devices(const struct probe *probe, const struct probe_question *question,
	const struct ruleset *ruleset, struct passage *passage)
{
	struct devices_seen devices;
	bool bridge = has_bridge_chains(ruleset);
	int r = device_programs_read(&devices, &passage->devices_unknown);

	if (!r)
		passage->devices_unknown.error = 0;
	for (size_t i = 0; i < devices.n && !r; i++) {
		const struct device_seen *device = &devices.items[i];

		if (!may_come_by(probe, question, device->device))
			continue;
		if (device->xdp)
			r = add_unseen(passage, UNSEEN_XDP, device->name);
		if (!r && device->tc)
			r = add_unseen(passage, UNSEEN_TC, device->name);
		if (!r && device->bridge && bridge)
			r = add_unseen(passage, UNSEEN_BRIDGE, device->name);
	}
	device_programs_deinit(&devices);
	return r < 0 ? r : 0;
}

/* ---- the whole */

static bool accepts_loopback(const char *device)
{
	char path[PATH_MAX], value[4] = "";
	_cleanup_(fclosep) FILE *file = NULL;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", device);
	file = fopen(path, "re");
	return file && fgets(value, sizeof(value), file) && *value != '0';
}

static bool any_accepts_loopback(void)
{
	_cleanup_(closedirp) DIR *folder = opendir("/proc/sys/net/ipv4/conf");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (*entry->d_name != '.' && strcmp(entry->d_name, "lo") != 0 &&
			strcmp(entry->d_name, "default") != 0 && accepts_loopback(entry->d_name))
			return true;
	return false;
}

static void look_at_loopback(const struct probe *probe, struct passage *passage)
{
	if (!passage->sent || probe->own || probe->family != AF_INET || passage->destination[0] != 127)
		return;
	if (accepts_loopback("all") || (probe->device && accepts_loopback(probe->device_name)))
		return;
	passage->loopback = !probe->device && any_accepts_loopback() ? LOOPBACK_OPEN : LOOPBACK_DROPPED;
}

static void note_destination(const struct act *act, struct passage *passage)
{
	if (!act || !act->sent.address_known || !act->sent.port_known)
		return;
	passage->sent = true;
	memcpy(passage->destination, act->sent.address, sizeof(passage->destination));
	passage->port = act->sent.port;
}

int passage_read(const struct probe_question *question, struct passage *ret)
{
	struct ruleset ruleset = RULESET_NULL;
	struct probe probe;
	int r, rules = 0;

	*ret = PASSAGE_NULL;
	r = probe_init(question, &probe, &ret->unknown);
	if (!r)
		r = rules = ruleset_read(&ruleset, &ret->unknown);
	if (!r)
		r = look_at_legacy(question->family, ret);
	if (!r)
		ret->unknown.error = 0;
	if (r >= 0 && !rules)
		r = walk_run(&ruleset, &probe, &ret->acts);
	if (r >= 0)
		r = look_at_devices(&probe, question, &ruleset, ret);
	note_destination(acts_certain(&ret->acts, true), ret);
	if (r >= 0)
		look_at_loopback(&probe, ret);
	ruleset_deinit(&ruleset);
	return r < 0 ? r : 0;
}

int passage_follow(struct ruleset *ruleset, const struct probe_question *question, struct acts *ret)
{
	struct refusal refusal;
	struct probe probe;
	int r;

	*ret = ACTS_NULL;
	r = probe_init(question, &probe, &refusal);
	return r ? r : walk_run(ruleset, &probe, ret);
}

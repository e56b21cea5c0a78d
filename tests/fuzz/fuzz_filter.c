/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The rules of nf_tables as the kernel lists them, and a packet that is led through them
 *
 * The first byte chooses the packet. The rest are datagrams, each after its size in two bytes: answers to the lists of
 * chains, tables, rules, sets and flow tables, then the elements of sets. Whatever they are, the walk ends, an act names
 * a chain, and what is said is a text.
 */

#include <assert.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "ctl/filter/walk.h"
#include "netlink_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- packets */

static void check_act(const struct act *act, int family)
{
	char text[ACT_TEXT_MAX];

	assert(*act_format(act, family, text));
	assert(*act_format_command(act, text));
	if (act->doubt.causes)
		assert(*act_format_doubt(act, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ruleset ruleset;
	struct refusal refusal;
	struct probe probe = {.has_destination = true, .has_port = true, .port = 80, .asked_port = 80};
	struct acts acts;

	if (!size)
		return 0;
	netlink_input_set(data + 1, size - 1);
	probe.family = data[0] & 1 ? AF_INET6 : AF_INET;
	probe.protocol = data[0] & 2 ? IPPROTO_UDP : IPPROTO_TCP;
	probe.own = data[0] & 4;
	probe.source_causes = data[0] & 8 ? CAUSE_SOURCE : 0;
	probe.has_source = !probe.source_causes;
	probe.device = data[0] & 16 ? 2 : 0;
	probe.device_causes = probe.device ? 0 : CAUSE_DEVICE | CAUSE_NOT_LOOPBACK;
	if (ruleset_read(&ruleset, &refusal) == 0) {
		if (walk_run(&ruleset, &probe, &acts) == 0)
			for (size_t i = 0; i < acts.n; i++)
				check_act(&acts.items[i], probe.family);
		acts_deinit(&acts);
	}
	ruleset_deinit(&ruleset);
	return 0;
}

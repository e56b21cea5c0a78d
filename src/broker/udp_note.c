/* SPDX-License-Identifier: BSD-3-Clause */
#include "udp_note.h"

#include <netinet/in.h>

#include "../datapath/loader.h"
#include "../observe/observe.h"
#include "../util/destination.h"
#include "../util/errno_name.h"

/* usherd.service permits no socket of IPv4. A kernel in which nothing is different is yet to come. */
static void note_unseen(const struct observed *about, const char *name, int error)
{
	struct udp_map map;

	if (udp_map_read(&map) < 0)
		observe(OBSERVE_ALTERED, about,
			"'%s': a UDP socket in the kernel's map may answer FIONREAD with 0 and take a receive of 0 bytes for nothing; the broker may not look whether this kernel does so (%s): see usherctl doctor",
			name, errno_name(error));
	else if (map.hides_size)
		observe(OBSERVE_ALTERED, about,
			"'%s': this kernel has a FIONREAD of its own for a UDP socket that is handed in (udp_bpf_ioctl): it is 0 while a datagram waits, and a receive of 0 bytes is taken for nothing; see 'UDP sockets in a map' in usher.rules(5)",
			name);
	else
		observe(OBSERVE_ALTERED, about,
			"'%s': this kernel takes a receive of 0 bytes from a UDP socket that is handed in for nothing; FIONREAD is as before (there is no udp_bpf_ioctl); see 'UDP sockets in a map' in usher.rules(5)",
			name);
}

void udp_note(struct broker *broker, const struct offered_socket *socket)
{
	const struct rule *rule = socket->rule;
	const struct observed about = {.name = rule->name, .rule = rule->path, .protocol = IPPROTO_UDP};
	struct udp_map map;
	int r;

	if (broker->udp_noted || socket->facts.protocol != IPPROTO_UDP ||
		socket->facts.destination & DESTINATION_DROPS)
		return;
	broker->udp_noted = true;
	r = loader_try_udp_map(&map);
	if (r < 0)
		note_unseen(&about, rule->name, -r);
	else if (map.hides_size)
		observe(OBSERVE_ALTERED, &about,
			"'%s': on this kernel, a UDP socket that is handed in answers FIONREAD with 0 while a datagram waits%s; see 'UDP sockets in a map' in usher.rules(5)",
			rule->name,
			map.ignores_nothing
				? ", and a receive of 0 bytes neither waits nor peeks nor discards"
				: "");
	else if (map.ignores_nothing)
		observe(OBSERVE_ALTERED, &about,
			"'%s': on this kernel, a receive of 0 bytes from a UDP socket that is handed in neither waits nor peeks nor discards; see 'UDP sockets in a map' in usher.rules(5)",
			rule->name);
}

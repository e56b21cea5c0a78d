/* SPDX-License-Identifier: BSD-3-Clause */
#include "ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

static int compare_wanted_ports(const void *a, const void *b)
{
	const struct usher_wanted *x = a, *y = b;

	if (x->protocol != y->protocol)
		return x->protocol - y->protocol;
	return x->port - y->port;
}

int ports_of_rules(const struct rule_set *rules, struct usher_wanted **ret, size_t *ret_n)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct usher_wanted *wanted;
	size_t n = 0, n_unique = 0;

	for (size_t i = 0; i < rules->n_rules; i++)
		n += rules->rules[i].discover.n_sockets * 2;
	wanted = calloc(n + 1, sizeof(*wanted));
	if (!wanted)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < rules->n_rules; i++)
		for (size_t p = 0; p < 2; p++) {
			const struct rule_discover *discover = &rules->rules[i].discover;

			if (!rule_has_match(&rules->rules[i], protocols[p], AF_UNSPEC))
				continue;
			for (size_t s = 0; s < discover->n_sockets; s++)
				wanted[n++] = (struct usher_wanted){
					.protocol = protocols[p], .port = discover->sockets[s].first};
		}
	qsort(wanted, n, sizeof(*wanted), compare_wanted_ports);
	for (size_t i = 0; i < n; i++)
		if (!i || compare_wanted_ports(&wanted[i], &wanted[n_unique - 1]))
			wanted[n_unique++] = wanted[i];
	*ret = wanted;
	*ret_n = n_unique;
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* Listen=kernel: the listeners that wait to be handed in, and the rules by which the kernel lets them in. */

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "registry.h"

uint64_t registry_read_early(const struct registry *registry, uint32_t seat)
{
	uint64_t cookie;

	return bpf_map_lookup_elem(registry->maps[REGISTRY_EARLY], &seat, &cookie) < 0 ? 0 : cookie;
}

void registry_clear_early(struct registry *registry, uint32_t seat)
{
	(void)bpf_map_delete_elem(registry->maps[REGISTRY_EARLY], &seat);
}

int registry_compare_early_rules(const void *a, const void *b)
{
	const struct registry_early_rule *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

int registry_write_early_rules(struct registry *registry, const struct registry_early_rule *rules, size_t n)
{
	_cleanup_free_ struct usher_early_key *there = calloc(USHER_EARLY_MAX, sizeof(*there));
	const int map = registry->maps[REGISTRY_EARLY_RULES];
	size_t n_there = 0;
	int r = 0;

	if (!there)
		return -ENOMEM;
	/* read all keys before the first change: iteration starts over at a key that has gone */
	while (n_there < USHER_EARLY_MAX &&
		bpf_map_get_next_key(map, n_there ? &there[n_there - 1] : NULL, &there[n_there]) == 0)
		n_there++;
	for (size_t i = 0; i < n_there; i++) {
		const struct registry_early_rule wanted = {.key = there[i]};

		if (!n || !bsearch(&wanted, rules, n, sizeof(*rules), registry_compare_early_rules))
			(void)bpf_map_delete_elem(map, &there[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (bpf_map_update_elem(
			    registry->maps[REGISTRY_EARLY_RULES], &rules[i].key, &rules[i].rule, BPF_ANY) < 0)
			r = -errno;
	return r;
}

// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* The least that a sk_lookup program can do: what every figure is compared with. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("sk_lookup")
int empty(struct bpf_sk_lookup *ctx)
{
	(void)ctx;
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

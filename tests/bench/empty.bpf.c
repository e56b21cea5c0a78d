// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* The least that an sk_lookup program can do. Every figure is compared with it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("sk_lookup")
int empty(struct bpf_sk_lookup *ctx)
{
	(void)ctx;
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

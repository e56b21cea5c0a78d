// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Foreign programs. Those of sk_lookup leave every port but 80 alone. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} chosen SEC(".maps");

static __always_inline int choose(struct bpf_sk_lookup *ctx, __u64 flags)
{
	__u32 key = 0;
	struct bpf_sock *sk;

	if (ctx->local_port != 80)
		return SK_PASS;
	sk = bpf_map_lookup_elem(&chosen, &key);
	if (!sk)
		return SK_DROP;
	bpf_sk_assign(ctx, sk, flags);
	bpf_sk_release(sk);
	return SK_PASS;
}

SEC("sk_lookup")
int pass(struct bpf_sk_lookup *ctx)
{
	(void)ctx;
	return SK_PASS;
}

SEC("sk_lookup")
int drop(struct bpf_sk_lookup *ctx)
{
	return ctx->local_port == 80 ? SK_DROP : SK_PASS;
}

SEC("sk_lookup")
int redirect(struct bpf_sk_lookup *ctx)
{
	return choose(ctx, 0);
}

SEC("sk_lookup")
int replace(struct bpf_sk_lookup *ctx)
{
	return choose(ctx, BPF_SK_LOOKUP_F_REPLACE);
}

/* of an SO_REUSEPORT group */
SEC("sk_reuseport")
int drop_all(struct sk_reuseport_md *ctx)
{
	(void)ctx;
	return SK_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The structures of the kernel that find the longest prefix of an address, each in a program of its own
 *
 * SK_PASS if a prefix was found, SK_DROP otherwise. Keys are written in whole words of 64 bits, as dispatch.bpf.c
 * must write them. Both start with the 32 bits of a class, which usher needs in addition to the address.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LENGTHS_MAX 32
#define CLASS 1

/* The lengths that occur, longest first, and their masks */
const volatile struct {
	__u64 length;
	__u64 high, low; /* as they lie in memory; IPv4 in the first half of `high` */
} lengths[LENGTHS_MAX];
const volatile __u32 n_lengths;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, 12); /* length, class, address */
	__uint(value_size, 4);
} trie4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, 24);
	__uint(value_size, 4);
} trie6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, 8); /* class and length, address */
	__uint(value_size, 4);
} hash4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, 24); /* class and length, address */
	__uint(value_size, 4);
} hash6 SEC(".maps");

static __always_inline __u64 word_of(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)second << 32 | first;
#else
	return (__u64)first << 32 | second;
#endif
}

SEC("sk_lookup")
int find_trie4(struct bpf_sk_lookup *ctx)
{
	__u64 key[2] = {word_of(32 + 32, CLASS), word_of(ctx->local_ip4, 0)};

	return bpf_map_lookup_elem(&trie4, key) ? SK_PASS : SK_DROP;
}

SEC("sk_lookup")
int find_trie6(struct bpf_sk_lookup *ctx)
{
	__u64 key[3] = {word_of(32 + 128, CLASS), word_of(ctx->local_ip6[0], ctx->local_ip6[1]),
		word_of(ctx->local_ip6[2], ctx->local_ip6[3])};

	return bpf_map_lookup_elem(&trie6, key) ? SK_PASS : SK_DROP;
}

SEC("sk_lookup")
int find_hash4(struct bpf_sk_lookup *ctx)
{
	__u64 address = word_of(ctx->local_ip4, 0);

	for (__u32 i = 0; i < n_lengths && i < LENGTHS_MAX; i++) {
		__u64 key =
			word_of(CLASS << 8 | (__u32)lengths[i].length, (__u32)(address & lengths[i].high));

		if (bpf_map_lookup_elem(&hash4, &key))
			return SK_PASS;
	}
	return SK_DROP;
}

SEC("sk_lookup")
int find_hash6(struct bpf_sk_lookup *ctx)
{
	__u64 high = word_of(ctx->local_ip6[0], ctx->local_ip6[1]),
	      low = word_of(ctx->local_ip6[2], ctx->local_ip6[3]);

	for (__u32 i = 0; i < n_lengths && i < LENGTHS_MAX; i++) {
		__u64 key[3] = {CLASS << 8 | lengths[i].length, high & lengths[i].high, low & lengths[i].low};

		if (bpf_map_lookup_elem(&hash6, key))
			return SK_PASS;
	}
	return SK_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

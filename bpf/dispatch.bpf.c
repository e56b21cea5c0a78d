// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The dispatcher: one sk_lookup program for each network namespace
 *
 * port -> (class -> prefix ->) seat -> socket. usher-bpf.h has the meaning of every map and word.
 *
 * The verdicts, and why each is what it is:
 *   SK_PASS, nothing assigned   no rule matched, or the rule says Missing=pass, or another program chose before us
 *   SK_PASS, socket assigned    dispatched
 *   SK_DROP                     a rule matched, nobody can take the packet: the kernel answers RST or port
 *                               unreachable, and the packet does not fall to a socket that happens to be bound there
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "usher-bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_UDP 17
#define EEXIST 17
#define EPROTOTYPE 91
#define ESOCKTNOSUPPORT 94
#define EAFNOSUPPORT 97

/* Generation: written once, before the program becomes current. */

__u32 ports[USHER_TABLES][USHER_PORTS];

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct usher_prefix4);
	__type(value, __u32);
} prefixes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct usher_prefix6);
	__type(value, __u32);
} prefixes6 SEC(".maps");

/* Registry: pinned, shared by all generations. */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, USHER_SEATS_MAX *USHER_PLACES_MAX);
	__type(key, struct usher_place_key);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} front SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* the broker changes `order` with one store */
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, struct usher_seat);
} seats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_SEATS_MAX *USHER_PLACES_MAX);
	__type(key, struct usher_place_key);
	__type(value, struct usher_place);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, struct usher_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, USHER_EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usher_state);
} state SEC(".maps");

/* Nanoseconds between two events of one seat on one CPU. */
const volatile __u64 event_interval = 1000000000ULL;

/* Clang merges the IPv4 and IPv6 loads of the context into one at a computed offset, which the verifier refuses. */
#define keep_apart() asm volatile("" ::: "memory")

static __always_inline __u32 match_prefix(struct bpf_sk_lookup *ctx, __u32 class_id)
{
	__u32 *word;

	if (ctx->family == AF_INET) {
		struct usher_prefix4 key = {.length = 32 + 32, .class_id = class_id};
		__u32 address = ctx->local_ip4;

		__builtin_memcpy(key.address, &address, sizeof(address));
		word = bpf_map_lookup_elem(&prefixes4, &key);
	} else {
		struct usher_prefix6 key = {.length = 32 + 128, .class_id = class_id};
		__u32 address[4];

		keep_apart();
		address[0] = ctx->local_ip6[0];
		address[1] = ctx->local_ip6[1];
		address[2] = ctx->local_ip6[2];
		address[3] = ctx->local_ip6[3];
		__builtin_memcpy(key.address, address, sizeof(address));
		word = bpf_map_lookup_elem(&prefixes6, &key);
	}
	return word ? *word : 0;
}

static __noinline int report(struct bpf_sk_lookup *ctx, __u32 word, long error)
{
	__u32 seat = word & USHER_WORD_SEAT;
	struct usher_counters *count = bpf_map_lookup_elem(&counters, &seat);
	struct usher_event *event;
	__u64 now = bpf_ktime_get_ns();
	__u32 address[4] = {};

	if (!count || (count->event_time && now - count->event_time < event_interval))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count->events_lost++;
		return 0;
	}
	count->event_time = now;
	__builtin_memset(event, 0, sizeof(*event));
	event->version = USHER_EVENT_VERSION;
	event->reason = error ? USHER_EVENT_REFUSED : USHER_EVENT_MISSING;
	event->error = (__s32)error;
	event->seat = seat;
	event->time = now;
	event->family = (__u8)ctx->family;
	event->protocol = (__u8)ctx->protocol;
	event->local_port = (__u16)ctx->local_port;
	event->remote_port = bpf_ntohs(ctx->remote_port);
	event->passed = !!(word & USHER_WORD_PASS);
	if (ctx->family == AF_INET) {
		address[0] = ctx->local_ip4;
		__builtin_memcpy(event->local_address, address, 4);
		address[0] = ctx->remote_ip4;
		__builtin_memcpy(event->remote_address, address, 4);
	} else {
		keep_apart();
		address[0] = ctx->local_ip6[0];
		address[1] = ctx->local_ip6[1];
		address[2] = ctx->local_ip6[2];
		address[3] = ctx->local_ip6[3];
		__builtin_memcpy(event->local_address, address, 16);
		address[0] = ctx->remote_ip6[0];
		address[1] = ctx->remote_ip6[1];
		address[2] = ctx->remote_ip6[2];
		address[3] = ctx->remote_ip6[3];
		__builtin_memcpy(event->remote_address, address, 16);
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Consumes the reference to `sk`, which must not be NULL. */
static __always_inline long assign(struct bpf_sk_lookup *ctx, struct bpf_sock *sk)
{
	long error = bpf_sk_assign(ctx, sk, 0);

	bpf_sk_release(sk);
	return error;
}

static __always_inline void count_failure(struct usher_counters *count, long error)
{
	switch (error) {
	case 0:
		count->missing++;
		break;
	case -EAFNOSUPPORT:
		count->refused_family++;
		break;
	case -EPROTOTYPE:
		count->refused_protocol++;
		break;
	case -ESOCKTNOSUPPORT:
		count->refused_state++;
		break;
	case -EEXIST:
		count->refused_exists++;
		break;
	default:
		count->refused_other++;
	}
}

SEC("sk_lookup")
int usher_dispatch(struct bpf_sk_lookup *ctx)
{
	__u32 table = (ctx->family == AF_INET6 ? 2 : 0) + (ctx->protocol == IPPROTO_UDP ? 1 : 0);
	__u32 word = ports[table][ctx->local_port & (USHER_PORTS - 1)];
	struct usher_place_key place;
	struct usher_counters *count;
	struct usher_seat *seat;
	struct bpf_sock *sk;
	long error = 0;
	__u64 order;

	if (!word)
		return SK_PASS; /* no rule for this port */
	if (word & USHER_WORD_CLASS) {
		word = match_prefix(ctx, word & USHER_WORD_CLASS_ID);
		if (!word)
			return SK_PASS; /* rules for this port, none for this address */
	}

	place.seat = word & USHER_WORD_SEAT;
	count = bpf_map_lookup_elem(&counters, &place.seat);
	if (!count)
		return SK_DROP; /* cannot be: user space writes seat numbers below USHER_SEATS_MAX only */
	count->lookups++;

	sk = bpf_map_lookup_elem(&front, &place.seat);
	if (sk) {
		error = assign(ctx, sk);
		if (!error)
			return SK_PASS; /* dispatched */
	}

	seat = bpf_map_lookup_elem(&seats, &place.seat);
	if (!seat)
		return SK_DROP; /* cannot be, as above */
	order = error == -EEXIST ? 0 : seat->order;
	for (int i = 0; i < (int)USHER_PLACES_MAX && (order & 0xff); i++, order >>= 8) {
		place.slot = (order & 0xff) - 1;
		sk = bpf_map_lookup_elem(&sockets, &place);
		if (!sk)
			continue; /* closed: the next place serves */
		error = assign(ctx, sk);
		if (!error)
			return SK_PASS; /* dispatched */
		if (error == -EEXIST)
			break;
	}

	count_failure(count, error);
	report(ctx, word, error);
	if (error == -EEXIST)
		return SK_PASS; /* an earlier sk_lookup program chose; a selection beats a drop anyway */
	return word & USHER_WORD_PASS ? SK_PASS : SK_DROP; /* Missing=pass, or refuse */
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

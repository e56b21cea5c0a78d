// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * Counts the sockets that rules with a later order must not override: usher-obstacles.h
 *
 * Attached to the root of cgroup v2, where they see the sockets of all processes; those of other network namespaces are
 * left out. They never interfere: all return 1, and the flags of a sock_ops socket, which programs share, are only added
 * to.
 *
 * Loaded without CAP_PERFMON, they cannot read of a new socket whether it is v6-only, nor of a UDP socket its device.
 * Such a socket is counted as the one that yields more, and user space, which sock_diag(7) tells both, corrects it.
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "obstacle_table.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define ENOENT 2
#define EEXIST 17
#define EINVAL 22

/* Clang merges the IPv4 and IPv6 loads of the context into one at a computed offset, which the verifier refuses. */
#define keep_apart() asm volatile("" ::: "memory")

const volatile __u64 netns_cookie;

/*
 * Always 0, and not constant: what the verifier knows of an index differs from path to path, and it refuses an offset
 * for that.
 */
__u32 opaque;

struct guard {
	struct bpf_spin_lock lock;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard);
} obstacle_lock SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usher_obstacle_order);
} obstacle_order SEC(".maps");

/* The registry's */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, USHER_EVENTS_BYTES);
} events SEC(".maps");

/* ---- the table */

/* Which bit is the lowest, of eight; without a jump: each path would add another constant to a pointer */
static __always_inline __u32 lowest(__u64 bits)
{
	__u64 b = bits & -bits;
	__u64 i = ((b >> 1 | b >> 3 | b >> 5 | b >> 7) & 1) | ((b >> 2 | b >> 3 | b >> 6 | b >> 7) & 1) << 1 |
		  ((b >> 4 | b >> 5 | b >> 6 | b >> 7) & 1) << 2;

	_Static_assert(USHER_OBSTACLE_WINDOW == 8, "of eight");
	asm volatile("" : "+r"(i));
	return (__u32)i & (USHER_OBSTACLE_WINDOW - 1);
}

static __always_inline __u64 is_zero(__u64 value)
{
	__u64 r = ~(value | -value) >> 63;

	asm volatile("" : "+r"(r));
	return r;
}

/*
 * Counts one socket at a tuple up or down. Readers take no lock, so a new cell gets its count and its tag last: the atomic
 * operation whose result is used is a barrier. Return: 1 if it was done, 0 if the window is full.
 */
static __always_inline int adjust(struct usher_obstacle_counts *counts, __u64 a, __u64 b, __u64 c, bool up)
{
	const __u64 hash = obstacle_hash(counts, a, b, c);
	const __u32 index = obstacle_index(hash);
	struct usher_obstacle_cell *base = &counts->table.cells[index];
	__u64 *tags = &counts->table.tags[1 + index];
	__u64 same = 0, empty = 0, was;
	struct guard *guard;
	__u32 zero = 0, at;
	int done = 0;

	guard = bpf_map_lookup_elem(&obstacle_lock, &zero);
	if (!guard)
		return 0; /* cannot happen: the array has one element */
	bpf_spin_lock(&guard->lock);
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < USHER_OBSTACLE_WINDOW; i++) {
		volatile __u64 *word = (volatile __u64 *)&base[i];
		__u64 is_free = is_zero(word[3]);

		empty |= is_free << i;
		same |= (is_zero((word[0] ^ a) | (word[1] ^ b) | (word[2] ^ c)) & ~is_free) << i;
	}
	if (same) {
		at = lowest(same);
		was = __sync_fetch_and_add(&base[at].count, up ? 1 : -1);
		if (!up && was == 1)
			*(volatile __u64 *)&tags[at] = 0;
		done = 1;
	} else if (up && empty) {
		volatile __u64 *word;

		at = lowest(empty);
		word = (volatile __u64 *)&base[at];
		word[0] = a;
		word[1] = b;
		word[2] = c;
		was = __sync_fetch_and_add((__u64 *)&word[3], 1);
		asm volatile("" : : "r"(was));
		*(volatile __u64 *)&tags[at] = hash;
		done = 1;
	}
	bpf_spin_unlock(&guard->lock);
	return done;
}

static __always_inline __u32 index_at(__u32 where)
{
	where ^= *(volatile __u32 *)&opaque;
	asm volatile(
		""
		: "+r"(where)); /* otherwise clang masks both and combines them: Linux 6.1 then knows no bound */
	return where & (USHER_TABLES * USHER_PORTS - 1);
}

static __always_inline __u64 *cell_of(struct usher_obstacle_counts *counts, __u32 where)
{
	return &counts->ports.cells[1 + index_at(where)];
}

/* Something on the port is not counted: it yields, until user space has looked. */
static __always_inline void lose_port(struct usher_obstacle_counts *counts, __u32 where)
{
	__u64 *cell = cell_of(counts, where);

	__sync_fetch_and_add(&counts->table.n_lost, 1);
	if ((*(volatile __u64 *)cell >> USHER_OBSTACLE_LOST_SHIFT & USHER_OBSTACLE_LOST_MASK) <
		USHER_OBSTACLE_LOST_MAX)
		__sync_fetch_and_add(cell, 1ULL << USHER_OBSTACLE_LOST_SHIFT);
}

static __always_inline void lose(const struct usher_obstacle *obstacle)
{
	struct usher_obstacle_counts *counts = find_counts();

	if (!counts)
		return;
	lose_port(counts, obstacle->tuple.where);
	if (obstacle->flags & USHER_OBSTACLE_BOTH)
		lose_port(counts, obstacle->tuple.where & ~(2U << 16));
}

static __always_inline bool is_full(__u64 on_port)
{
	return (on_port & USHER_OBSTACLE_EXACT_MASK) + (on_port >> USHER_OBSTACLE_WILD_SHIFT) >=
	       USHER_OBSTACLES_PORT_MAX;
}

/* Counts one socket for one table. Return: 1 if it was done, 0 if the port has no more room. */
static __always_inline int count_in(
	struct usher_obstacle_counts *counts, __u64 a, __u64 b, __u32 where, __u32 device, bool up)
{
	__u64 *cell = cell_of(counts, where);

	if (up && is_full(*(volatile __u64 *)cell))
		return 0;
	if (!device && !(a | b)) {
		__sync_fetch_and_add(
			cell, up ? 1ULL << USHER_OBSTACLE_WILD_SHIFT : -(1ULL << USHER_OBSTACLE_WILD_SHIFT));
		return 1;
	}
	if (!adjust(counts, a, b, obstacle_word(where, device), up))
		return 0;
	if (device)
		__sync_fetch_and_add(&counts->table.n_devices, up ? 1 : -1);
	__sync_fetch_and_add(cell, up ? 1 : -1);
	return 1;
}

/*
 * Not static: the verifier then looks at it once, and not in each place from which it is called, which is too much for
 * Linux 6.1. Return: 1 if it was done; 0, and nothing is counted.
 */
__noinline int count(struct usher_obstacle *obstacle, __u32 up)
{
	struct usher_obstacle_counts *counts = find_counts();
	__u32 where, device;
	__u64 a, b;

	if (!obstacle || !counts)
		return 0;
	a = obstacle->tuple.address[0];
	b = obstacle->tuple.address[1];
	where = obstacle->tuple.where;
	device = obstacle->tuple.device;
	if (!count_in(counts, a, b, where, device, up))
		return 0;
	if (!(obstacle->flags & USHER_OBSTACLE_BOTH))
		return 1;
	if (count_in(counts, a, b, where & ~(2U << 16), device, up))
		return 1;
	count_in(counts, a, b, where, device, false);
	return 0;
}

/* ---- the three changes */

static __always_inline int note(__u64 cookie, struct usher_obstacle *obstacle)
{
	int r;

	/* counted first, so that nobody counts it down before */
	if (!count(obstacle, 1)) {
		if (bpf_map_lookup_elem(&obstacles, &cookie))
			return -EEXIST;
		lose(obstacle);
		return -EINVAL;
	}
	r = bpf_map_update_elem(&obstacles, &cookie, obstacle, BPF_NOEXIST);
	if (!r)
		return 0;
	if (r != -EEXIST) {
		lose(obstacle);
	}
	count(obstacle, 0);
	return r;
}

static __always_inline int forget(__u64 cookie)
{
	struct usher_obstacle *obstacle = bpf_map_lookup_elem(&obstacles, &cookie), was;
	int r;

	if (!obstacle)
		return -ENOENT;
	__builtin_memcpy(&was, obstacle, sizeof(was));
	r = bpf_map_delete_elem(&obstacles, &cookie);
	if (!r)
		count(&was, 0);
	return r;
}

/*
 * Only user space amends, so nobody else writes another description meanwhile. A socket that is closed between the two
 * steps stays counted: user space looks again.
 */
static __always_inline int amend(__u64 cookie, struct usher_obstacle *obstacle)
{
	struct usher_obstacle *old = bpf_map_lookup_elem(&obstacles, &cookie), was;
	int r;

	if (!old)
		return -ENOENT;
	__builtin_memcpy(&was, old, sizeof(was));
	if (!count(obstacle, 1))
		return -EINVAL;
	r = bpf_map_delete_elem(&obstacles, &cookie);
	if (r) {
		count(obstacle, 0);
		return r;
	}
	r = bpf_map_update_elem(&obstacles, &cookie, obstacle, BPF_NOEXIST);
	if (r) {
		lose(obstacle);
		count(obstacle, 0);
	}
	count(&was, 0);
	return r;
}

/* ---- hooks */

static __always_inline __u8 *tracked_at(struct usher_obstacle_counts *counts, __u32 where)
{
	return &counts->tracked.ports[index_at(where)];
}

/* Is the port of a socket tracked? A socket of IPv6 may count for both families. */
static __always_inline bool is_tracked(bool udp, __u32 family, __u32 port)
{
	struct usher_obstacle_counts *counts = find_counts();
	__u32 where = (__u32)udp << 16 | (port & 0xffff);

	if (!counts)
		return false;
	if (family == AF_INET6 && *tracked_at(counts, 2U << 16 | where))
		return true;
	return *tracked_at(counts, where);
}

/*
 * Asks user space to look at a port. The socket is in the kernel's tables by now. User space may have read these before,
 * without this socket, but it set USHER_TRACKED first: the atomic operation whose result is used is a barrier, so that
 * this program then sees that value.
 */
static __always_inline void tell(__u32 where, __u8 protocol, __u32 family)
{
	struct usher_obstacle_counts *counts = find_counts();
	struct usher_event *event;
	__u8 *tracked;
	__u64 n;

	if (!counts)
		return;
	n = __sync_fetch_and_add(&counts->table.n_events_lost, 0);
	tracked = tracked_at(counts, where);
	asm volatile("" : : "r"(n));
	if (!*(volatile __u8 *)tracked)
		tracked = tracked_at(counts, where & ~(2U << 16));
	if (*(volatile __u8 *)tracked == USHER_TRACKED_TOLD)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&counts->table.n_events_lost, 1);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->version = USHER_EVENT_VERSION;
	event->reason = USHER_EVENT_OBSTACLE;
	event->time = bpf_ktime_get_ns();
	event->family = (__u8)family;
	event->protocol = protocol;
	event->local_port = (__u16)where;
	*tracked = USHER_TRACKED_TOLD;
	bpf_ringbuf_submit(event, 0);
}

/* Counts a socket by its local address. */
static __always_inline void see(__u64 cookie, bool udp, __u32 family, __u32 port, __u32 device, __u32 a0,
	__u32 a1, __u32 a2, __u32 a3)
{
	struct usher_obstacle obstacle;
	/* whole words: for Linux 6.1, a store to half of one is an attempt to corrupt it */
	volatile __u64 *words = (volatile __u64 *)&obstacle;
	bool v6 = family == AF_INET6;
	__u32 where, flags;

	if (v6 && !a0 && !a1 && a2 == bpf_htonl(0xffff)) {
		v6 = false; /* an IPv4 address */
		a0 = a3;
		a2 = a3 = 0;
	}
	flags = v6 && !(a0 | a1 | a2 | a3) ? USHER_OBSTACLE_BOTH | USHER_OBSTACLE_UNSURE : 0;
	flags |= udp ? USHER_OBSTACLE_UNSURE : 0;
	where = ((__u32)v6 << 1 | udp) << 16 | (port & 0xffff);
	words[0] = obstacle_word(a0, a1);
	words[1] = obstacle_word(a2, a3);
	words[2] = obstacle_word(where, device);
	words[3] = obstacle_word(flags, 0);
	if (note(cookie, &obstacle) == 0 && flags & USHER_OBSTACLE_UNSURE)
		tell(where, udp ? IPPROTO_UDP : IPPROTO_TCP, family);
}

SEC("sockops")
int hook_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	__u32 device;

	/* most calls are for other operations: about nine for every connection of this host with itself */
	if (ctx->op == BPF_SOCK_OPS_STATE_CB) {
		if (ctx->args[0] == BPF_TCP_LISTEN)
			forget(bpf_get_socket_cookie(ctx));
		return 1;
	}
	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB)
		return 1;
	if (!is_tracked(false, ctx->family, ctx->local_port) || bpf_get_netns_cookie(ctx) != netns_cookie)
		return 1;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	sk = ctx->sk;
	if (!sk)
		return 1; /* cannot happen: a listener is a full socket */
	device = sk->bound_dev_if;
	if (ctx->family == AF_INET) {
		see(bpf_get_socket_cookie(ctx), false, AF_INET, ctx->local_port, device, ctx->local_ip4, 0, 0,
			0);
	} else {
		keep_apart();
		see(bpf_get_socket_cookie(ctx), false, AF_INET6, ctx->local_port, device, ctx->local_ip6[0],
			ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]);
	}
	return 1;
}

SEC("cgroup/post_bind4")
int hook_bind4(struct bpf_sock *sk)
{
	if (sk->protocol == IPPROTO_UDP && is_tracked(true, AF_INET, sk->src_port) &&
		bpf_get_netns_cookie(sk) == netns_cookie)
		see(bpf_get_socket_cookie(sk), true, AF_INET, sk->src_port, 0, sk->src_ip4, 0, 0, 0);
	return 1;
}

SEC("cgroup/post_bind6")
int hook_bind6(struct bpf_sock *sk)
{
	if (sk->protocol == IPPROTO_UDP && is_tracked(true, AF_INET6, sk->src_port) &&
		bpf_get_netns_cookie(sk) == netns_cookie)
		see(bpf_get_socket_cookie(sk), true, AF_INET6, sk->src_port, 0, sk->src_ip6[0],
			sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
	return 1;
}

/* TCP listeners that are older than the program above, for which STATE_CB is not set; and UDP sockets. */
SEC("cgroup/sock_release")
int hook_release(struct bpf_sock *sk)
{
	__u32 zero = 0;

	if (sk->protocol == IPPROTO_TCP ? sk->state == BPF_TCP_LISTEN : sk->protocol == IPPROTO_UDP)
		forget(bpf_get_socket_cookie(sk));
	else if (sk->protocol == IPPROTO_MPTCP && sk->state == BPF_TCP_LISTEN)
		/* the listener in the kernel's tables is another socket, inside; its port is not known here */
		tell(zero, IPPROTO_TCP, sk->family);
	return 1;
}

/*
 * A connected socket takes packets of its peer only. connect(2) may still fail: user space looks. Seen only before: a
 * socket that connect(2) disconnects.
 */
static __always_inline void connecting(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || ctx->protocol != IPPROTO_UDP || !is_tracked(true, sk->family, sk->src_port))
		return;
	if (forget(bpf_get_socket_cookie(ctx)) == 0)
		tell((sk->family == AF_INET6 ? 3U : 1U) << 16 | (sk->src_port & 0xffff), IPPROTO_UDP,
			sk->family);
}

SEC("cgroup/connect4")
int hook_connect4(struct bpf_sock_addr *ctx)
{
	connecting(ctx);
	return 1;
}

SEC("cgroup/connect6")
int hook_connect6(struct bpf_sock_addr *ctx)
{
	connecting(ctx);
	return 1;
}

/* ---- what user space changes: never attached, run by BPF_PROG_TEST_RUN */
SEC("sk_lookup")
int change(struct bpf_sk_lookup *ctx)
{
	__u32 zero = 0;
	struct usher_obstacle_order *order = bpf_map_lookup_elem(&obstacle_order, &zero);
	struct usher_obstacle obstacle;

	(void)ctx;
	if (!order)
		return SK_PASS; /* cannot happen: the array has one element */
	__builtin_memcpy(&obstacle, &order->obstacle, sizeof(obstacle));
	order->result = -EINVAL;
	if (order->what == USHER_OBSTACLE_NOTE)
		order->result = note(order->cookie, &obstacle);
	else if (order->what == USHER_OBSTACLE_FORGET)
		order->result = forget(order->cookie);
	else if (order->what == USHER_OBSTACLE_AMEND)
		order->result = amend(order->cookie, &obstacle);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

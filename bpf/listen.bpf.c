// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * Reports to usher-discover sockets that start to listen
 *
 * A sock_ops program for TCP and post_bind programs for UDP, attached to a cgroup: they see the sockets of all
 * processes in and below it, in all network namespaces. The network namespace and `wanted` select the sockets to
 * report.
 *
 * They never interfere. All of them return 1, which lets the bind succeed and leaves the decision to other sock_ops
 * programs. None writes to the context's `reply`, which those share.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "usher-bpf.h"
#include "usher-discover.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* usher-discover's SO_NETNS_COOKIE, the inode number of the cgroup that it watches, and that of its pid namespace */
const volatile __u64 netns_cookie;
const volatile __u64 root_cgroup;
const volatile __u32 pid_namespace;

/* 0, or USHER_PORT_WANTED or _TOLD. User space changes it while the programs run. */
__u8 wanted_tcp[USHER_WANTED_PORTS];
__u8 wanted_udp[USHER_WANTED_PORTS];

/* Events for which the ring buffer had no room */
__u64 lost;

__u64 n_barriers;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, USHER_LISTENS_BYTES);
} listens SEC(".maps");

/* The broker's pins, for Listen=kernel only. */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_EARLY_MAX);
	__type(key, struct usher_early_key);
	__type(value, struct usher_early_rule);
} early_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} early SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, USHER_EVENTS_BYTES);
} events SEC(".maps");

/* Clang merges the IPv4 and IPv6 loads of the context into one at a computed offset, which the verifier refuses. */
#define keep_apart() asm volatile("" ::: "memory")

/*
 * The socket is in the kernel's tables by now. User space may have read these before, without this socket, but it set
 * USHER_PORT_WANTED first: the barrier makes sure that this program then sees that value.
 */
static __always_inline bool is_told(const __u8 *wanted)
{
	/* only an atomic operation whose result is used is a barrier everywhere */
	__u64 n = __sync_fetch_and_add(&n_barriers, 1);

	asm volatile("" : : "r"(n));
	return *(volatile const __u8 *)wanted == USHER_PORT_TOLD;
}

static __always_inline void tell(
	__u8 *wanted, __u64 cookie, __u32 family, __u8 protocol, __u32 port, bool is_early)
{
	struct usher_listen *listen;

	if (!is_early && is_told(wanted))
		return;
	listen = bpf_ringbuf_reserve(&listens, sizeof(*listen), 0);
	if (!listen) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	*listen = (struct usher_listen){
		.cookie = cookie,
		.time = bpf_ktime_get_ns(),
		.pid = pid_seen_in((struct task_struct *)bpf_get_current_task(), pid_namespace),
		.port = (__u16)port,
		.family = (__u8)family,
		.protocol = protocol,
		.early = is_early,
	};
	*wanted = USHER_PORT_TOLD;
	bpf_ringbuf_submit(listen, 0);
}

/* The event is a hint and may be lost: the broker looks at `early` after every event. */
static __always_inline void tell_broker(const struct usher_early_key *key, __u32 seat)
{
	struct usher_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return;
	*event = (struct usher_event){
		.version = USHER_EVENT_VERSION,
		.reason = USHER_EVENT_LISTENED,
		.seat = seat,
		.time = bpf_ktime_get_ns(),
		.local_port = key->port,
		.family = key->family,
		.protocol = IPPROTO_TCP,
	};
	__builtin_memcpy(event->local_address, key->address, sizeof(event->local_address));
	bpf_ringbuf_submit(event, 0);
}

static __always_inline bool is_user_allowed(
	const struct usher_early_rule *rule, struct task_struct *task, __u32 maker)
{
	__u32 user = BPF_CORE_READ(task, cred, euid.val);

	/* another user made the socket and passed it on: user space decides about those */
	if (maker && maker != user)
		return false;
	if (!user)
		return true;
	for (__u32 i = 0; i < USHER_EARLY_UIDS && i < rule->n_uids; i++)
		if (rule->uids[i] == user)
			return true;
	return false;
}

#define SLICE ".slice"

static __always_inline bool is_slice(const char *name)
{
	const char slice[] = SLICE;
	char text[USHER_UNIT_MAX], end[sizeof(slice)] = {};
	long size = bpf_probe_read_kernel_str(text, sizeof(text), name);

	if (size <= (long)sizeof(slice) || size >= (long)sizeof(text) ||
		bpf_probe_read_kernel(end, sizeof(end), name + size - sizeof(end)))
		return false;
	for (__u32 i = 0; i < sizeof(slice); i++)
		if (end[i] != slice[i])
			return false;
	return true;
}

/*
 * The name of the unit that a process belongs to, as systemd sees it (sd_pid_get_unit(3)): the topmost cgroup that is no
 * slice. The one that the process is in may have any name, where its unit's cgroup was delegated.
 */
static __always_inline const char *find_unit(struct task_struct *task)
{
	struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	const char *unit = 0;

	for (__u32 i = 0; i < USHER_CGROUP_LEVELS_MAX; i++) {
		struct cgroup_subsys_state *parent = BPF_CORE_READ(cgroup, self.parent);
		const char *name = BPF_CORE_READ(cgroup, kn, name);

		if (!parent || BPF_CORE_READ(cgroup, kn, id) == root_cgroup)
			return unit;
		if (!is_slice(name))
			unit = name;
		cgroup = BPF_CORE_READ(parent, cgroup);
	}
	return 0;
}

static __always_inline bool is_unit_allowed(const struct usher_early_rule *rule, struct task_struct *task)
{
	char name[USHER_UNIT_MAX];
	const char *unit;
	long size;

	if (!rule->unit[0])
		return true;
	unit = find_unit(task);
	if (!unit)
		return false;
	size = bpf_probe_read_kernel_str(name, sizeof(name), unit);
	if (size <= 1 || size == sizeof(name))
		return false; /* perhaps cut: another name may begin with the same bytes */
	for (__u32 i = 0; i < sizeof(name); i++) {
		if (name[i] != rule->unit[i])
			return false;
		if (!name[i])
			break;
	}
	return true;
}

static __always_inline bool insert_at(struct bpf_sock_ops *ctx, const struct usher_early_key *key, __u32 seat)
{
	/* fails for an MPTCP listener, which has an upper layer protocol (EINVAL) */
	if (!seat || bpf_sock_map_update(ctx, &early, &seat, BPF_ANY))
		return false;
	tell_broker(key, seat);
	return true;
}

/* Puts the listener into the broker's map if a rule with Listen=kernel allows its process that. */
static __always_inline bool insert(struct bpf_sock_ops *ctx)
{
	struct usher_early_key key = {.family = (__u8)ctx->family, .port = (__u16)ctx->local_port};
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct usher_early_key any = {.family = key.family, .any = 1, .port = key.port};
	__u32 *address = (__u32 *)key.address;
	struct usher_early_rule *rule;
	struct bpf_sock *sk = ctx->sk;
	bool inserted;
	struct sock *sock;

	if (!sk)
		return false;
	sock = (struct sock *)bpf_skc_to_tcp_sock(sk);
	if (!sock)
		return false;
	if (ctx->family == AF_INET) {
		address[0] = ctx->local_ip4;
	} else {
		keep_apart();
		address[0] = ctx->local_ip6[0];
		address[1] = ctx->local_ip6[1];
		address[2] = ctx->local_ip6[2];
		address[3] = ctx->local_ip6[3];
		if (!address[0] && !address[1] && address[2] == bpf_htonl(0xffff))
			return false; /* an IPv4 address in IPv6: rare, and user space hands it in */
	}
	rule = bpf_map_lookup_elem(&early_rules, &key);
	if (!rule)
		rule = bpf_map_lookup_elem(&early_rules, &any);
	if (!rule || !is_user_allowed(rule, task, BPF_CORE_READ(sock, sk_uid.val)) ||
		!is_unit_allowed(rule, task))
		return false;
	inserted = insert_at(ctx, &key, rule->seat);
	if (key.family == AF_INET6 && !BPF_CORE_READ_BITFIELD_PROBED(sock, __sk_common.skc_ipv6only))
		inserted = insert_at(ctx, &key, rule->seat_ipv4) || inserted;
	return inserted;
}

/* The port's byte, or NULL */
static __always_inline __u8 *find_wanted(struct bpf_sock_ops *ctx)
{
	__u8 *wanted;

	/* most calls are for other operations: about seven for every connection of the machine */
	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB)
		return 0;
	wanted = &wanted_tcp[ctx->local_port & (USHER_WANTED_PORTS - 1)];
	return *wanted && bpf_get_netns_cookie(ctx) == netns_cookie ? wanted : 0;
}

SEC("sockops")
int listen_tcp(struct bpf_sock_ops *ctx)
{
	__u8 *wanted = find_wanted(ctx);

	if (wanted)
		tell(wanted, bpf_get_socket_cookie(ctx), ctx->family, IPPROTO_TCP, ctx->local_port, false);
	return 1;
}

/* The same with Listen=kernel; loaded instead of listen_tcp. */
SEC("sockops")
int listen_tcp_early(struct bpf_sock_ops *ctx)
{
	__u8 *wanted = find_wanted(ctx);

	if (wanted) {
		bool inserted = insert(ctx);

		tell(wanted, bpf_get_socket_cookie(ctx), ctx->family, IPPROTO_TCP, ctx->local_port, inserted);
	}
	return 1;
}

static __always_inline int bound(struct bpf_sock *sk)
{
	__u8 *wanted = &wanted_udp[sk->src_port & (USHER_WANTED_PORTS - 1)];

	if (sk->protocol == IPPROTO_UDP && *wanted && bpf_get_netns_cookie(sk) == netns_cookie)
		tell(wanted, bpf_get_socket_cookie(sk), sk->family, IPPROTO_UDP, sk->src_port, false);
	return 1;
}

SEC("cgroup/post_bind4")
int bound_udp4(struct bpf_sock *sk)
{
	return bound(sk);
}

SEC("cgroup/post_bind6")
int bound_udp6(struct bpf_sock *sk)
{
	return bound(sk);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

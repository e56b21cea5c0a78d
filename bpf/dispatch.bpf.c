// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The dispatcher: one sk_lookup program for each network namespace
 *
 * port -> (range of addresses ->) seat -> socket. usher-bpf.h describes every map and word.
 *
 * The verdicts, and their reasons:
 *   SK_PASS, nothing assigned   no rule matched, or the rule says Missing=pass, or another program chose first
 *   SK_PASS, socket assigned    dispatched
 *   SK_DROP                     a rule matched and no socket can take the packet: the kernel answers RST or port
 *                               unreachable, and the packet does not reach a socket that happens to be bound there
 */
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "places.h"
#include "usher-bpf.h"
#include "words.h"

#define EPROTOTYPE 91
#define ESOCKTNOSUPPORT 94
#define EAFNOSUPPORT 97

/* Generation: written once, before the program becomes current. */

/* By seat: 1 for Missing=pass. If no socket can take a packet, the kernel's lookup goes on; with 0 it is refused. */
__u8 passes[USHER_SEATS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct usher_answer);
} answers SEC(".maps");

/* Registry: pinned, shared by all generations; `sockets`, `members` and `groups` are in places.h. */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} front SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} early SEC(".maps");

/* Not used here: the sock_ops program of usher-discover reads it; it is pinned with the others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, USHER_EARLY_MAX);
	__type(key, struct usher_early_key);
	__type(value, struct usher_early_rule);
} early_rules SEC(".maps");

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

/* Written only where a socket is bound to a device. In a map of its own, so that the layout of `counters` stays. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, USHER_SEATS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} refused_device SEC(".maps");

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

/* Nanoseconds between two events of one seat on one CPU; of what yields, of one seat. */
const volatile __u64 event_interval = 1000000000ULL;

#include "later.h" /* uses the maps above */

static __always_inline void fill_event(
	struct bpf_sk_lookup *ctx, struct usher_event *event, __u32 seat, __u64 now, bool passed)
{
	__u32 *local, *remote;

	event->version = USHER_EVENT_VERSION;
	event->seat = seat;
	event->time = now;
	event->family = (__u8)ctx->family;
	event->protocol = (__u8)ctx->protocol;
	event->local_port = (__u16)ctx->local_port;
	event->remote_port = bpf_ntohs(ctx->remote_port);
	event->passed = passed;
	event->device = ctx->ingress_ifindex;
	local = (__u32 *)event->local_address;
	remote = (__u32 *)event->remote_address;
	if (ctx->family == AF_INET) {
		local[0] = ctx->local_ip4;
		remote[0] = ctx->remote_ip4;
	} else {
		keep_apart();
		local[0] = ctx->local_ip6[0];
		local[1] = ctx->local_ip6[1];
		local[2] = ctx->local_ip6[2];
		local[3] = ctx->local_ip6[3];
		remote[0] = ctx->remote_ip6[0];
		remote[1] = ctx->remote_ip6[1];
		remote[2] = ctx->remote_ip6[2];
		remote[3] = ctx->remote_ip6[3];
	}
}

static __noinline int report(struct bpf_sk_lookup *ctx, __u32 seat, bool passed, long error)
{
	struct usher_counters *count = bpf_map_lookup_elem(&counters, &seat);
	struct usher_event *event;
	__u64 now = bpf_ktime_get_ns();

	if (!count || (count->event_time && now - count->event_time < event_interval))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count->events_lost++;
		return 0;
	}
	count->event_time = now;
	__builtin_memset(event, 0, sizeof(*event));
	event->reason = error == -ENODEV ? USHER_EVENT_DEVICE
			: error		 ? USHER_EVENT_REFUSED
					 : USHER_EVENT_MISSING;
	event->error = (__s32)error;
	fill_event(ctx, event, seat, now, passed);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* What is counted may be gone, or bound otherwise than it seemed: user space looks at the port. */
static __noinline int yield(struct bpf_sk_lookup *ctx, struct usher_later *later)
{
	struct usher_event *event;
	__u64 *count, now;
	__u32 seat;

	if (!later)
		return 0;
	seat = later->seat;
	count = bpf_map_lookup_elem(&yielded, &seat);
	if (count)
		(*count)++;
	now = bpf_ktime_get_ns();
	if (later->event_time && now - later->event_time < event_interval)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	later->event_time = now;
	__builtin_memset(event, 0, sizeof(*event));
	event->reason = USHER_EVENT_YIELDED;
	fill_event(ctx, event, seat, now, true);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/*
 * The text differs in each case, so that clang does not merge the cases into one addition at a computed offset, which
 * the verifier refuses without CAP_PERFMON.
 */
#define bump(counter)                                                                                        \
	do {                                                                                                 \
		(counter)++;                                                                                 \
		asm volatile("# " #counter ::: "memory");                                                    \
	} while (0)

static __always_inline void count_device(__u32 seat)
{
	__u64 *count = bpf_map_lookup_elem(&refused_device, &seat);

	if (count)
		(*count)++;
}

static __always_inline void count_other(__u32 seat, long error)
{
	struct usher_counters *count = bpf_map_lookup_elem(&counters, &seat);

	if (!count)
		return; /* cannot happen, as in fall_back() */
	switch (error) {
	case 0:
		bump(count->missing);
		break;
	case -EAFNOSUPPORT:
		bump(count->refused_family);
		break;
	case -EPROTOTYPE:
		bump(count->refused_protocol);
		break;
	case -ESOCKTNOSUPPORT:
		bump(count->refused_state);
		break;
	case -EEXIST:
		bump(count->refused_exists);
		break;
	default:
		bump(count->refused_other);
	}
}

/* A function of its own: fall_back() has no room on its stack for a key that is not a whole word. */
static __noinline int count_failure(__u32 seat, long error)
{
	if (error == -ENODEV)
		count_device(seat);
	else
		count_other(seat, error);
	return 0;
}

/*
 * No socket in `front` can take the packet: tries the places, then the early listener, and at last obeys Missing=.
 * @error is that of the socket in `front`, 0 when there was none.
 */
static __always_inline int fall_back(
	struct bpf_sk_lookup *ctx, __u32 number, long error, bool is_question, struct usher_answer *answer)
{
	const __u64 flags = is_question ? BPF_SK_LOOKUP_F_NO_REUSEPORT : 0;
	const __u32 device = is_question ? answer->device : ctx->ingress_ifindex;
	struct usher_seat *seat = bpf_map_lookup_elem(&seats, &number);
	struct bpf_sock *sk;
	bool pass = number < USHER_SEATS_MAX && passes[number];

	if (!seat)
		return SK_DROP; /* cannot happen: user space only writes seat numbers below USHER_SEATS_MAX */
	if (error != -EEXIST) {
		struct search search = {
			.ctx = ctx, .seat = number, .flags = flags, .device = device, .error = error};

		try_all(&search, seat);
		error = search.error;
		if (search.found)
			return SK_PASS; /* dispatched */
	}
	if (error != -EEXIST) {
		sk = bpf_map_lookup_elem(&early, &number);
		if (sk) {
			error = assign(ctx, sk, flags, device);
			if (!error)
				return SK_PASS; /* dispatched */
		}
	}

	if (is_question) {
		answer->error = (__s32)error;
	} else {
		count_failure(number, error);
		report(ctx, number, pass, error);
	}
	if (error == -EEXIST)
		return SK_PASS; /* an earlier sk_lookup program chose a socket; a selection beats a drop anyway */
	return pass ? SK_PASS : SK_DROP;
}

/* Functions of their own, so that their stack is not set up when `front` serves. */

static __noinline int fall_back_packet(struct bpf_sk_lookup *ctx, __u32 number, long error)
{
	return fall_back(ctx, number, error, false, 0);
}

static __noinline int fall_back_question(
	struct bpf_sk_lookup *ctx, __u32 number, long error, struct usher_answer *answer)
{
	return fall_back(ctx, number, error, true, answer);
}

/*
 * The rule has been found: @seat is its number, in memory, as the key of maps. For a question, @count is NULL, which
 * counts nothing.
 */
static __always_inline int serve(struct bpf_sk_lookup *ctx, const volatile __u32 *seat,
	struct usher_counters *count, bool is_question, struct usher_answer *answer)
{
	const __u64 flags = is_question ? BPF_SK_LOOKUP_F_NO_REUSEPORT : 0;
	struct bpf_sock *sk;
	long error = 0;

	if (is_question)
		answer->seat = *seat;
	else
		count->lookups++;
	sk = bpf_map_lookup_elem(&front, (const void *)seat);
	if (sk) {
		error = assign(ctx, sk, flags, is_question ? answer->device : ctx->ingress_ifindex);
		if (!error)
			return SK_PASS; /* dispatched */
	}
	return is_question ? fall_back_question(ctx, *seat, error, answer)
			   : fall_back_packet(ctx, *seat, error);
}

/* The same for a rule with a later order, to which @word leads. */
static __always_inline int serve_later(
	struct bpf_sk_lookup *ctx, __u32 word, bool is_question, struct usher_answer *answer)
{
	const __u32 device = is_question ? answer->device : ctx->ingress_ifindex;
	const struct usher_obstacle_counts *counts = find_counts();
	struct usher_later *later = find_later(word);
	struct usher_counters *count;
	int obstacle;
	__u64 on_port;

	if (!counts)
		return SK_DROP; /* cannot happen, as in fall_back() */
	on_port = *port_counts(counts, index_of(ctx->family, ctx->protocol, ctx->local_port));
	if (on_port && !is_clear(ctx, counts, later, on_port)) {
		obstacle = find_obstacle(ctx, later, on_port, device);
		if (obstacle && is_question) {
			answer->seat = later->seat;
			answer->obstacle = (__u32)obstacle;
			return SK_PASS; /* left to the kernel's lookup */
		}
		if (obstacle) {
			yield(ctx, later);
			return SK_PASS; /* left to the kernel's lookup */
		}
	}
	count = bpf_map_lookup_elem(&counters, &later->seat);
	if (!count)
		return SK_DROP; /* cannot happen, as in fall_back() */
	return serve(ctx, &later->seat, count, is_question, answer);
}

/*
 * Decides what to do with a packet; @answer is NULL for a real one. For a question, it counts nothing, writes no event
 * and fills @answer. Of a reuseport group it then selects the member that was handed in, because BPF_PROG_TEST_RUN does
 * not let a group choose.
 *
 * Nothing here is put on the stack: usher-bpf.h, "The word in the port table", says why.
 */
static __always_inline int dispatch(
	struct bpf_sk_lookup *ctx, bool has_later, bool is_question, struct usher_answer *answer)
{
	const volatile __u32 *word = port_word(ctx);
	struct usher_counters *count;

	if (!*word)
		return SK_PASS; /* no rule for this port */
	if (*word >= first_node) {
		word = search_address(ctx, word);
		if (!*word)
			return SK_PASS; /* rules for this port, none for this address */
	}
	count = bpf_map_lookup_elem(&counters, (const void *)word);
	if (!count)
		return has_later ? serve_later(ctx, *word, is_question, answer)
				 : SK_DROP; /* without has_later, this cannot happen, as in fall_back() */
	return serve(ctx, word, count, is_question, answer);
}

/* One of the two is loaded and attached: the second when a rule has a later order. */

SEC("sk_lookup")
int usher_dispatch(struct bpf_sk_lookup *ctx)
{
	return dispatch(ctx, false, false, 0);
}

SEC("sk_lookup")
int usher_dispatch_later(struct bpf_sk_lookup *ctx)
{
	return dispatch(ctx, true, false, 0);
}

static __always_inline int question(struct bpf_sk_lookup *ctx, bool has_later)
{
	__u32 zero = 0;
	struct usher_answer *answer = bpf_map_lookup_elem(&answers, &zero);

	if (!answer)
		return SK_DROP; /* cannot happen: the array has one element */
	answer->seat = 0;
	answer->error = 0;
	answer->obstacle = 0;
	return dispatch(ctx, has_later, true, answer);
}

/* Never attached: `usherctl explain` runs them, on the maps and tables of the generation with which they were loaded. */

SEC("sk_lookup")
int usher_question(struct bpf_sk_lookup *ctx)
{
	return question(ctx, false);
}

SEC("sk_lookup")
int usher_question_later(struct bpf_sk_lookup *ctx)
{
	return question(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

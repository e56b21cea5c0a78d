/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "rule/parse.h"
#include "sandbox.h"
#include "util/netns.h"

static _Noreturn void fail(const char *what, const char *why)
{
	printf("Bail out! %s: %s\n", what, why);
	exit(1);
}

static void check(const char *what, int r, const struct refusal *refusal)
{
	if (r == REFUSED)
		fail(what, refusal->text);
	if (r < 0)
		fail(what, strerror(-r));
}

static void loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("lo", strerror(errno));
}

static void enter_namespaces(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		fail("namespaces", strerror(errno));
	loopback_up();
	libbpf_set_print(NULL);
}

static void open_registry(struct world *world)
{
	struct refusal refusal;

	*world = (struct world){.pins = PINS_FOLDER_NULL, .registry = REGISTRY_NULL};
	check("cookie", netns_read_cookie(&world->netns_cookie, &refusal), &refusal);
	check("pins", pins_folder_make("/sys/fs/bpf/usher", &world->pins, &refusal), &refusal);
	check("registry", registry_open(&world->pins, world->netns_cookie, &world->registry, &refusal),
		&refusal);
}

void world_enter(struct world *world)
{
	enter_namespaces();
	sandbox_keep(1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN);
	open_registry(world);
}

void world_leave(struct world *world)
{
	generation_unref(world->generation);
	obstacles_close(world->obstacles);
	registry_close(&world->registry);
	pins_folder_close(&world->pins);
}

static void free_seats(struct world *world)
{
	for (uint32_t seat = 1; seat < USHER_SEATS_MAX; seat++) {
		if (!world->registry.seats[seat].used)
			continue;
		registry_foreach_socket (&world->registry, seat, walk)
			registry_remove(&world->registry, seat, walk.key.slot);
		(void)registry_reap(&world->registry, seat, NULL);
		registry_free_seat(&world->registry, seat);
	}
}

void world_load(struct world *world, struct rule_set *rules)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct generation *generation = calloc(1, sizeof(*generation));
	struct refusal refusal;

	if (!generation)
		fail("generation", "out of memory");
	generation_unref(world->generation);
	free_seats(world);
	*generation = (struct generation){.n_references = 1, .rules = rules, .program = -1};
	world->generation = generation;
	check("image", image_compile(rules, &generation->image, &problems) ? -EINVAL : 0, NULL);
	if (generation_has_later(generation) && !world->obstacles)
		check("obstacles",
			obstacles_open(&world->pins, world->netns_cookie,
				world->registry.maps[REGISTRY_EVENTS], &world->obstacles, &refusal),
			&refusal);
	check("load",
		generation_load(generation, &world->registry,
			generation_has_later(generation) ? world->obstacles : NULL, &refusal),
		&refusal);
}

struct rule_set *world_parse(const char *name, const char *text, ...)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct rule_set *set = calloc(1, sizeof(*set));
	va_list ap;

	if (!set)
		fail("rules", "out of memory");
	va_start(ap, text);
	for (; name; name = va_arg(ap, const char *), text = name ? va_arg(ap, const char *) : NULL) {
		set->rules = reallocarray(set->rules, set->n_rules + 1, sizeof(*set->rules));
		if (!set->rules ||
			parse_rule(name, name, text, strlen(text), &set->rules[set->n_rules++], &problems))
			fail(name, problems.n ? problems.items[0].text : "out of memory");
	}
	va_end(ap);
	return set;
}

int world_listen(int protocol, int family)
{
	int fd = socket(family, (protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0),
	    on = 1;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int r;

	if (fd < 0)
		fail("socket", strerror(errno));
	if (family == AF_INET6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		r = bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	} else {
		r = bind(fd, (struct sockaddr *)&in, sizeof(in));
	}
	if (r < 0 || (protocol == IPPROTO_TCP && listen(fd, 1) < 0))
		fail("listen", strerror(errno));
	return fd;
}

uint32_t world_seat(const struct world *world, const char *name, int protocol, int family)
{
	const struct rule *rule = rule_set_find(world->generation->rules, name);

	return rule ? generation_seat(world->generation, rule, protocol, family) : 0;
}

uint64_t world_cookie(int fd)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		fail("SO_COOKIE", strerror(errno));
	return cookie;
}

void world_put(struct world *world, uint32_t seat, uint32_t slot, int fd)
{
	const struct usher_place_key key = {.seat = seat, .slot = slot};
	const uint64_t value = (uint64_t)fd;

	if (bpf_map_update_elem(world->registry.maps[REGISTRY_SOCKETS], &key, &value, BPF_NOEXIST) < 0)
		fail("put", strerror(errno));
}

uint32_t world_seat_socket(struct world *world, uint32_t seat, int fd)
{
	const struct registry_kin kin = {.kind = USHER_KIND_UNKNOWN};
	const struct usher_place place = {.cookie = world_cookie(fd)};
	const uint64_t value = (uint64_t)fd;
	struct refusal refusal;
	uint32_t slot;

	check("reserve", registry_reserve(&world->registry, seat, &place, &kin, 0, &slot, &refusal),
		&refusal);
	world_put(world, seat, slot, fd);
	registry_commit(&world->registry, seat, slot, 0);
	if (bpf_map_update_elem(world->registry.maps[REGISTRY_FRONT], &seat, &value, BPF_ANY) < 0)
		fail("front", strerror(errno));
	return slot;
}

struct world_verdict world_run(int program, const struct world_packet *packet, int repeat)
{
	struct bpf_sk_lookup in =
				     {
					     .family = (uint32_t)packet->family,
					     .protocol = (uint32_t)packet->protocol,
					     .remote_port = htons(40000),
					     .local_port = packet->port,
				     },
			     out = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &in, .ctx_size_in = sizeof(in), .ctx_out = &out,
		.ctx_size_out = sizeof(out), .repeat = repeat);

	if (packet->family == AF_INET6) {
		memcpy(in.local_ip6, packet->address, 16);
		memcpy(in.remote_ip6, packet->address, 16);
	} else {
		memcpy(&in.local_ip4, packet->address, 4);
		memcpy(&in.remote_ip4, packet->address, 4);
	}
	if (bpf_prog_test_run_opts(program, &options) < 0)
		return (struct world_verdict){.error = -errno};
	return (struct world_verdict){
		.pass = options.retval == SK_PASS, .cookie = out.cookie, .nanoseconds = options.duration};
}

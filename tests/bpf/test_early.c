/* SPDX-License-Identifier: BSD-3-Clause */

/* Listen=kernel: which listeners the sock_ops program puts into the broker's map, and its events about them */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bpf/usher-bpf.h"
#include "hooks/hooks.h"
#include "sandbox.h"
#include "util/macro.h"
#include "util/netns.h"

#define PINS SANDBOX_PINS "/usher"
#define UNIT "web.service"
#define WATCHED "watched/" UNIT

enum { SEAT = 5, SEAT_IPV4 = 6, SEAT_ANY = 7, USER = 1000, STRANGER = 1001 };

/* What the broker would pin */
static struct {
	int rules, early, events;
	struct ring_buffer *ring;
	struct usher_event event;
	size_t n_events;
} broker;

static struct {
	struct hooks *hooks;
	struct usher_listen listen;
	size_t n;
} heard;

static void on_listen(const struct usher_listen *listen, void *userdata)
{
	(void)userdata;
	heard.listen = *listen;
	heard.n++;
}

static int on_event(void *userdata, void *record, size_t size)
{
	(void)userdata;
	assert_int_equal(size, sizeof(broker.event));
	memcpy(&broker.event, record, size);
	broker.n_events++;
	return 0;
}

static int make_pin(const char *name, enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries)
{
	LIBBPF_OPTS(
		bpf_map_create_opts, options, .map_flags = type == BPF_MAP_TYPE_HASH ? BPF_F_NO_PREALLOC : 0);
	int fd = bpf_map_create(type, name, key, value, entries, &options);
	char path[64];

	(void)snprintf(path, sizeof(path), PINS "/%s", name);
	(void)unlink(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	return fd;
}

static struct hooks_manner manner(void)
{
	static char cgroup[256];
	struct hooks_manner manner = {
		.cgroup = sandbox_cgroup("watched", cgroup), .pins = PINS, .function = on_listen};
	struct refusal refusal;

	assert_int_equal(netns_read_cookie(&manner.netns_cookie, &refusal), 0);
	return manner;
}

static int set_up(void **state)
{
	struct usher_wanted wanted[] = {
		{.protocol = IPPROTO_TCP, .port = 8080}, {.protocol = IPPROTO_UDP, .port = 8080}};
	struct hooks_manner how = manner();
	struct refusal refusal;
	int r;

	(void)state;
	(void)mkdir(PINS, 0700);
	broker.rules = make_pin("early_rules", BPF_MAP_TYPE_HASH, sizeof(struct usher_early_key),
		sizeof(struct usher_early_rule), USHER_EARLY_MAX);
	broker.early =
		make_pin("early", BPF_MAP_TYPE_SOCKMAP, sizeof(uint32_t), sizeof(uint64_t), USHER_SEATS_MAX);
	broker.events = make_pin("events", BPF_MAP_TYPE_RINGBUF, 0, 0, USHER_EVENTS_BYTES);
	broker.ring = ring_buffer__new(broker.events, on_event, NULL, NULL);
	assert_non_null(broker.ring);
	r = hooks_new(&how, &heard.hooks, &refusal);
	if (r == REFUSED)
		print_message("# %s\n", refusal.text);
	return r ? r : hooks_want(heard.hooks, wanted, 2);
}

static int tear_down(void **state)
{
	(void)state;
	heard.hooks = hooks_free(heard.hooks);
	ring_buffer__free(broker.ring);
	(void)close(broker.rules);
	(void)close(broker.early);
	(void)close(broker.events);
	return 0;
}

/* Add a rule for an address; NULL: any address. */
static void add_rule(int family, const char *address, const struct usher_early_rule *rule)
{
	struct usher_early_key key = {.family = (uint8_t)family, .any = !address, .port = 8080};

	if (address)
		assert_int_equal(inet_pton(family, address, key.address), 1);
	assert_int_equal(bpf_map_update_elem(broker.rules, &key, rule, BPF_ANY), 0);
}

static const struct usher_early_rule for_user = {
	.seat = SEAT, .seat_ipv4 = SEAT_IPV4, .n_uids = 2, .uids = {3, USER}};

static uint64_t early(uint32_t seat)
{
	uint64_t cookie = 0;

	(void)bpf_map_lookup_elem(broker.early, &seat, &cookie);
	return cookie;
}

/* Let a process listen. An event comes in any case. Return: whether the listener is in the map. */
static bool goes_in(const struct sandbox_spec *spec, struct sandbox_process *ret)
{
	heard.n = broker.n_events = 0;
	hooks_want_again(heard.hooks, 0, 0);
	*ret = sandbox_start(spec);
	assert_int_equal(ret->error, 0);
	hooks_read(heard.hooks);
	(void)ring_buffer__poll(broker.ring, 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.listen.pid, ret->pid);
	assert_int_equal(heard.listen.early, broker.n_events > 0);
	return heard.listen.early;
}

static bool is_let_in(const struct sandbox_spec *spec)
{
	struct sandbox_process process;
	bool in = goes_in(spec, &process);

	assert_int_equal(in, early(SEAT) || early(SEAT_IPV4) || early(SEAT_ANY));
	sandbox_end(&process);
	return in;
}

static void test_in_and_out(void **state)
{
	struct sandbox_spec spec = {.cgroup = WATCHED,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.address = "127.0.0.2",
		.port = 8080,
		.uid = USER};
	struct sandbox_process process;
	struct in_addr address;

	(void)state;
	add_rule(AF_INET, "127.0.0.2", &for_user);
	assert_true(goes_in(&spec, &process));
	assert_int_equal(heard.listen.cookie, process.cookie);
	assert_int_equal(early(SEAT), process.cookie);
	assert_int_equal(early(SEAT_IPV4), 0); /* that is for IPv6 sockets */
	assert_int_equal(broker.n_events, 1);
	assert_int_equal(broker.event.version, USHER_EVENT_VERSION);
	assert_int_equal(broker.event.reason, USHER_EVENT_LISTENED);
	assert_int_equal(broker.event.seat, SEAT);
	assert_int_equal(broker.event.family, AF_INET);
	assert_int_equal(broker.event.protocol, IPPROTO_TCP);
	assert_int_equal(broker.event.local_port, 8080);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.2", &address), 1);
	assert_memory_equal(broker.event.local_address, &address, sizeof(address));
	sandbox_close(&process);
	assert_int_equal(early(SEAT), 0);
	sandbox_end(&process);
}

static void test_users(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080};
	static const struct {
		uid_t maker, uid;
		bool in;
	} cases[] = {
		{0, 0, true}, /* User= need not have root */
		{0, USER, true},
		{USER, USER, true},
		{0, STRANGER, false},
		{STRANGER, STRANGER, false},
		{STRANGER, USER, false}, /* passed on */
		{STRANGER, 0, false},
		{USER, STRANGER, false},
	};

	(void)state;
	add_rule(AF_INET, NULL, &for_user);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		spec.maker = cases[i].maker;
		spec.uid = cases[i].uid;
		if (is_let_in(&spec) != cases[i].in)
			fail_msg("made by %u, uid %u", cases[i].maker, cases[i].uid);
	}
}

static void test_units(void **state)
{
	struct sandbox_spec spec = {.family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080, .uid = USER};
	char longest[USHER_UNIT_MAX], cut[sizeof("watched/") + USHER_UNIT_MAX + 1];
	static const struct {
		const char *cgroup;
		bool in;
	} nested[] = {
		{"watched/system.slice/" UNIT, true},
		{"watched/a.slice/a-b.slice/" UNIT, true},
		{"watched/system.slice/" UNIT "/part", true},
		{"watched/system.slice/" UNIT "/other.slice", true},
		{"watched/system.slice/user@1000.service/" UNIT, false},
		{"watched/user@1000.service/app.slice/" UNIT, false},
		{"watched/.slice/" UNIT, false},
		{"watched/system.slice2/" UNIT, false},
		{"watched/system.slice", false},
		{"watched/1/2/3/4/5/6/7/8/9/" UNIT, false},
		{"watched/1.slice/2.slice/3.slice/4.slice/5.slice/6.slice/7.slice/8.slice/9.slice/" UNIT,
			true},
	};
	struct usher_early_rule rule = for_user;
	char made[256];

	(void)state;
	(void)snprintf(rule.unit, sizeof(rule.unit), "%s", UNIT);
	add_rule(AF_INET, NULL, &rule);
	spec.cgroup = WATCHED;
	assert_true(is_let_in(&spec));
	spec.cgroup = "watched/web.service2";
	assert_false(is_let_in(&spec));
	spec.cgroup = "watched/web.servic";
	assert_false(is_let_in(&spec));
	/* whoever has a delegated cgroup can give the ones below it any name */
	for (size_t i = 0; i < ARRAY_SIZE(nested); i++) {
		char path[256];

		for (const char *slash = strchr(nested[i].cgroup, '/'); slash;
			slash = strchr(slash + 1, '/')) {
			(void)snprintf(path, sizeof(path), "%.*s", (int)(slash - nested[i].cgroup),
				nested[i].cgroup);
			(void)sandbox_cgroup(path, made);
		}
		spec.cgroup = nested[i].cgroup;
		if (is_let_in(&spec) != nested[i].in)
			fail_msg("%s", spec.cgroup);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	memcpy(rule.unit, longest, sizeof(rule.unit));
	add_rule(AF_INET, NULL, &rule);
	(void)snprintf(cut, sizeof(cut), "watched/%saa", longest);
	spec.cgroup = cut;
	assert_false(is_let_in(&spec)); /* the same up to the end of the array */
}

static void test_addresses(void **state)
{
	struct sandbox_spec spec = {.cgroup = WATCHED,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.address = "127.0.0.2",
		.port = 8080,
		.uid = USER};
	struct usher_early_rule any = for_user;
	struct sandbox_process process;

	(void)state;
	any.seat = SEAT_ANY;
	add_rule(AF_INET, "127.0.0.2", &for_user);
	assert_true(is_let_in(&spec));
	spec.address = "127.0.0.3";
	assert_false(is_let_in(&spec));
	spec.address = NULL;
	assert_false(is_let_in(&spec));
	add_rule(AF_INET, NULL, &any);
	assert_true(goes_in(&spec, &process));
	assert_int_equal(early(SEAT_ANY), process.cookie);
	sandbox_end(&process);
	spec.address = "127.0.0.2"; /* the rule for the address comes first */
	assert_true(goes_in(&spec, &process));
	assert_int_equal(early(SEAT), process.cookie);
	assert_int_equal(early(SEAT_ANY), 0);
	sandbox_end(&process);
}

static void test_ipv6(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET6, .protocol = IPPROTO_TCP, .port = 8080, .uid = USER};
	struct usher_early_rule only_ipv4 = for_user;
	struct sandbox_process process;

	(void)state;
	add_rule(AF_INET6, NULL, &for_user);
	assert_true(goes_in(&spec, &process));
	assert_int_equal(early(SEAT), process.cookie);
	assert_int_equal(early(SEAT_IPV4), process.cookie);
	assert_int_equal(broker.n_events, 2);
	sandbox_end(&process);

	spec.v6only = true;
	assert_true(goes_in(&spec, &process));
	assert_int_equal(early(SEAT), process.cookie);
	assert_int_equal(early(SEAT_IPV4), 0);
	sandbox_end(&process);

	only_ipv4.seat = 0;
	add_rule(AF_INET6, NULL, &only_ipv4);
	assert_false(is_let_in(&spec));
	spec.v6only = false;
	assert_true(goes_in(&spec, &process));
	assert_int_equal(early(SEAT), 0);
	assert_int_equal(early(SEAT_IPV4), process.cookie);
	sandbox_end(&process);

	add_rule(AF_INET6, "::ffff:127.0.0.1", &for_user);
	spec.address = "::ffff:127.0.0.1";
	assert_false(is_let_in(&spec));
}

static void test_what_stays_out(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 8080};
	struct sandbox_process process;

	(void)state;
	assert_false(is_let_in(&spec));
	add_rule(AF_INET, NULL, &for_user);
	assert_false(is_let_in(&spec)); /* UDP */
	spec.protocol = IPPROTO_TCP;
	spec.other_netns = true;
	process = sandbox_start(&spec);
	assert_int_equal(early(SEAT), 0);
	sandbox_end(&process);
}

/* The kernel does not accept an MPTCP listener in a sockmap. */
static void test_mptcp(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_MPTCP, .port = 8080};
	struct sandbox_process process = sandbox_start(&spec);

	(void)state;
	sandbox_end(&process);
	if (process.error == EPROTONOSUPPORT || process.error == ENOPROTOOPT)
		skip();
	add_rule(AF_INET, NULL, &for_user);
	hooks_read(heard.hooks);
	assert_false(is_let_in(&spec));
}

static void test_pins_of_another_version(void **state)
{
	struct hooks_manner how = manner();
	struct refusal refusal;
	struct hooks *hooks;

	(void)state;
	(void)close(make_pin("early_rules", BPF_MAP_TYPE_HASH, sizeof(struct usher_early_key), 8, 1));
	assert_int_equal(hooks_new(&how, &hooks, &refusal), REFUSED);
	assert_int_equal(refusal.error, EUCLEAN);
	assert_non_null(
		strstr(refusal.text, PINS "/early_rules was pinned by another version of usher (EUCLEAN)"));
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_and_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_users, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_units, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ipv6, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_stays_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mptcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pins_of_another_version, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("early", tests, NULL, NULL);
}

int main(void)
{
	return sandbox_main(all_tests);
}

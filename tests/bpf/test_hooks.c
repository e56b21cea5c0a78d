/* SPDX-License-Identifier: BSD-3-Clause */

/* Events of sockets that start to listen: bpf/listen.bpf.c and src/hooks/hooks.c */

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks/hooks.h"
#include "sandbox.h"
#include "util/macro.h"
#include "util/netns.h"

#define EVENTS_MAX 4096

static struct {
	struct hooks *hooks;
	struct usher_listen events[EVENTS_MAX];
	size_t n;
} heard;

static void on_listen(const struct usher_listen *listen, void *userdata)
{
	assert_ptr_equal(userdata, &heard);
	assert_true(heard.n < EVENTS_MAX);
	heard.events[heard.n++] = *listen;
}

static struct hooks_manner manner(void)
{
	static char cgroup[256];
	struct hooks_manner manner = {
		.cgroup = sandbox_cgroup("watched", cgroup), .function = on_listen, .userdata = &heard};
	struct refusal refusal;

	assert_int_equal(netns_read_cookie(&manner.netns_cookie, &refusal), 0);
	return manner;
}

static void want(uint8_t protocol, uint16_t port)
{
	struct usher_wanted wanted = {.protocol = protocol, .port = port};

	assert_int_equal(hooks_want(heard.hooks, &wanted, 1), 0);
}

static int set_up(void **state)
{
	struct hooks_manner how = manner();
	struct refusal refusal;
	int r = hooks_new(&how, &heard.hooks, &refusal);

	(void)state;
	heard.n = 0;
	if (r == REFUSED)
		print_message("# %s\n", refusal.text);
	return r;
}

static int tear_down(void **state)
{
	(void)state;
	heard.hooks = hooks_free(heard.hooks);
	return 0;
}

/* Run a process that does this, and end it. Return: the outcome. */
static struct sandbox_process run(const struct sandbox_spec *spec)
{
	struct sandbox_process process;

	hooks_want_again(heard.hooks, 0, 0);
	process = sandbox_start(spec);
	heard.n = 0;
	assert_int_equal(process.error, 0);
	hooks_read(heard.hooks);
	sandbox_end(&process);
	return process;
}

static void assert_heard(const struct sandbox_process *process, int family, uint8_t protocol, uint16_t port)
{
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.events[0].cookie, process->cookie);
	assert_int_equal(heard.events[0].pid, process->pid);
	assert_int_equal(heard.events[0].port, port);
	assert_int_equal(heard.events[0].family, family);
	assert_int_equal(heard.events[0].protocol, protocol);
	assert_int_equal(heard.events[0].early, 0);
	assert_true(heard.events[0].time > 0);
}

#define WATCHED "watched/web.service"

static void assert_all_quiet(const struct sandbox_spec *specs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)run(&specs[i]);
		assert_int_equal(heard.n, 0);
	}
}

static void test_tcp(void **state)
{
	static const struct sandbox_spec quiet[] = {
		{.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8081},
		{.cgroup = WATCHED,
			.family = AF_INET,
			.protocol = IPPROTO_TCP,
			.port = 8080,
			.bind_only = true},
		{.cgroup = WATCHED,
			.family = AF_INET,
			.protocol = IPPROTO_TCP,
			.port = 8080,
			.other_netns = true},
		{.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 8080},
		{.cgroup = "elsewhere", .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080},
	};
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080};
	struct sandbox_process process;

	(void)state;
	want(IPPROTO_TCP, 8080);
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_TCP, 8080);
	spec.family = AF_INET6;
	spec.address = "::1";
	process = run(&spec);
	assert_heard(&process, AF_INET6, IPPROTO_TCP, 8080);
	assert_all_quiet(quiet, ARRAY_SIZE(quiet));
}

static void test_udp(void **state)
{
	static const struct sandbox_spec quiet[] = {
		{.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 54},
		{.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 53},
		{.cgroup = WATCHED,
			.family = AF_INET6,
			.protocol = IPPROTO_UDP,
			.port = 53,
			.other_netns = true},
		{.cgroup = "elsewhere", .family = AF_INET6, .protocol = IPPROTO_UDP, .port = 53},
	};
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 53};
	struct sandbox_process process;

	(void)state;
	want(IPPROTO_UDP, 53);
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_UDP, 53);
	spec.family = AF_INET6;
	process = run(&spec);
	assert_heard(&process, AF_INET6, IPPROTO_UDP, 53);
	assert_all_quiet(quiet, ARRAY_SIZE(quiet));
}

/* The listener of an MPTCP socket is another socket inside the kernel, with a cookie of its own. */
static void test_mptcp(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_MPTCP, .port = 8080};
	struct sandbox_process process;

	(void)state;
	want(IPPROTO_TCP, 8080);
	process = sandbox_start(&spec);
	heard.n = 0;
	hooks_read(heard.hooks);
	sandbox_end(&process);
	if (process.error == EPROTONOSUPPORT || process.error == ENOPROTOOPT)
		skip();
	assert_int_equal(process.error, 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.events[0].pid, process.pid);
	assert_int_not_equal(heard.events[0].cookie, process.cookie);
}

static void test_want(void **state)
{
	static const struct usher_wanted first[] = {
		{.protocol = IPPROTO_TCP, .port = 1}, {.protocol = IPPROTO_TCP, .port = 65535}};
	static const struct usher_wanted second[] = {
		{.protocol = IPPROTO_TCP, .port = 65535}, {.protocol = IPPROTO_UDP, .port = 1}};
	static const size_t expected[][3] = {{0, 0, 0}, {1, 1, 0}, {0, 1, 1}, {0, 0, 0}};
	struct sandbox_spec tcp = {.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP};
	struct sandbox_spec udp = {.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 1};

	(void)state;
	for (size_t step = 0; step < ARRAY_SIZE(expected); step++) {
		if (step)
			assert_int_equal(
				hooks_want(heard.hooks, step == 1 ? first : second, step < 3 ? 2 : 0), 0);
		tcp.port = 1;
		(void)run(&tcp);
		assert_int_equal(heard.n, expected[step][0]);
		tcp.port = 65535;
		(void)run(&tcp);
		assert_int_equal(heard.n, expected[step][1]);
		(void)run(&udp);
		assert_int_equal(heard.n, expected[step][2]);
	}
}

/* The event of a process in a container has its pid outside. */
static void test_pid_namespace_below(void **state)
{
	struct sandbox_spec spec = {.cgroup = WATCHED,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.port = 8080,
		.other_pidns = true};
	struct sandbox_process process;

	(void)state;
	want(IPPROTO_TCP, 8080);
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_TCP, 8080);
}

/* In a pid namespace of its own, usher-discover gets no pid for a process outside. */
static void watch_from_below(int control)
{
	struct hooks_manner how = manner();
	struct refusal refusal;
	char byte = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0 ||
		hooks_new(&how, &heard.hooks, &refusal))
		_exit(1);
	want(IPPROTO_TCP, 8080);
	heard.n = 0;
	if (write(control, &byte, 1) != 1 || read(control, &byte, 1) != 1)
		_exit(1);
	hooks_read(heard.hooks);
	_exit(heard.n == 1 && heard.events[0].pid == 0 ? 0 : 2);
}

static void test_pid_namespace_above(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080};
	struct sandbox_process process;
	int pair[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = sandbox_fork(true);
	if (!pid)
		watch_from_below(pair[1]);
	(void)close(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	process = sandbox_start(&spec);
	assert_int_equal(process.error, 0);
	assert_int_equal(write(pair[0], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	sandbox_end(&process);
	(void)close(pair[0]);
}

/* A process that listens and closes in a loop causes only one event, until hooks_want_again(). */
static void test_loop(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_UDP, .port = 53, .n_times = 1999};
	struct usher_wanted wanted[] = {
		{.protocol = IPPROTO_UDP, .port = 53}, {.protocol = IPPROTO_TCP, .port = 53}};
	struct sandbox_process process;

	(void)state;
	assert_int_equal(hooks_want(heard.hooks, wanted, 2), 0);
	(void)run(&spec);
	assert_int_equal(heard.n, 1);
	assert_int_equal(hooks_lost(heard.hooks), 0);
	process = sandbox_start(&spec);
	hooks_read(heard.hooks);
	assert_int_equal(heard.n, 1);
	sandbox_end(&process);
	spec.protocol = IPPROTO_TCP; /* another port, so to say */
	process = sandbox_start(&spec);
	hooks_read(heard.hooks);
	assert_int_equal(heard.n, 2);
	sandbox_end(&process);
	spec.n_times = 0;
	hooks_want_again(heard.hooks, IPPROTO_TCP, 53);
	process = sandbox_start(&spec);
	hooks_read(heard.hooks);
	assert_int_equal(heard.n, 3);
	assert_int_equal(heard.events[2].cookie, process.cookie);
	sandbox_end(&process);
	spec.protocol = IPPROTO_UDP;
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_UDP, 53);
}

static void test_overflow(void **state)
{
	struct sandbox_spec spec = {.cgroup = WATCHED,
		.family = AF_INET,
		.protocol = IPPROTO_UDP,
		.port = 53,
		.n_times = 1999,
		.other_ports = true};
	struct usher_wanted wanted[2000];
	struct pollfd poller = {.fd = hooks_fd(heard.hooks), .events = POLLIN};
	struct sandbox_process process;

	(void)state;
	for (uint16_t i = 0; i < ARRAY_SIZE(wanted); i++)
		wanted[i] = (struct usher_wanted){.protocol = IPPROTO_UDP, .port = 53 + i};
	assert_int_equal(hooks_want(heard.hooks, wanted, ARRAY_SIZE(wanted)), 0);
	assert_int_equal(poll(&poller, 1, 0), 0);
	process = sandbox_start(&spec);
	assert_int_equal(process.error, 0);
	assert_int_equal(poll(&poller, 1, 0), 1);
	assert_true(hooks_lost(heard.hooks) > 0);
	hooks_read(heard.hooks);
	assert_int_equal(heard.n + hooks_lost(heard.hooks), 2000);
	assert_int_equal(poll(&poller, 1, 0), 0);
	sandbox_end(&process);
	spec.n_times = 0;
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_UDP, 53);
}

/* The programs end with the process that attached them, and several sets do not disturb each other. */
static void test_two(void **state)
{
	struct sandbox_spec spec = {
		.cgroup = WATCHED, .family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080};
	struct hooks_manner how = manner();
	struct sandbox_process process;
	struct refusal refusal;
	struct hooks *other;

	(void)state;
	want(IPPROTO_TCP, 8080);
	assert_int_equal(hooks_new(&how, &other, &refusal), 0);
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_TCP, 8080);
	hooks_read(other);
	assert_int_equal(heard.n, 1); /* the other one wants no port */
	(void)hooks_free(other);
	process = run(&spec);
	assert_heard(&process, AF_INET, IPPROTO_TCP, 8080);
}

static void assert_refused(const struct hooks_manner *how, int error, const char *text)
{
	struct refusal refusal;
	struct hooks *hooks;

	assert_int_equal(hooks_new(how, &hooks, &refusal), REFUSED);
	assert_int_equal(refusal.error, error);
	if (!strstr(refusal.text, text))
		fail_msg("'%s' is not in: %s", text, refusal.text);
}

static void test_refusals(void **state)
{
	struct hooks_manner how = manner();

	(void)state;
	how.cgroup = "/proc";
	assert_refused(&how, ENODEV, "/proc is not a cgroup v2 file system (ENODEV)");
	how.cgroup = "/nowhere";
	assert_refused(&how, ENOENT, "cannot open /nowhere (ENOENT); is cgroup v2 mounted there?");
	how.pins = "/sys/fs/bpf/usher";
	assert_refused(&how, ENOENT, "cannot open the pin /sys/fs/bpf/usher/early_rules");
}

/* Another program is attached that does not allow more. */
static void test_exclusive_cgroup(void **state)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct hooks_manner how = manner();
	int program = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "other", "GPL", pass, ARRAY_SIZE(pass), NULL);
	int cgroup = open(how.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(program >= 0 && cgroup >= 0);
	assert_int_equal(bpf_prog_attach(program, cgroup, BPF_CGROUP_SOCK_OPS, 0), 0);
	assert_refused(&how, EPERM, "other programs attached there must allow more (BPF_F_ALLOW_MULTI)");
	assert_int_equal(bpf_prog_detach2(program, cgroup, BPF_CGROUP_SOCK_OPS), 0);
	(void)close(program);
	(void)close(cgroup);
}

/* 0: they load and attach. */
static int load_with(uint64_t capabilities, struct refusal *refusal)
{
	struct hooks_manner how = manner();
	int status, pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = sandbox_fork(false);
	if (!pid) {
		struct hooks *hooks;
		int r;

		sandbox_keep(capabilities);
		r = hooks_new(&how, &hooks, refusal);
		(void)!write(pair[1], refusal, sizeof(*refusal));
		_exit(r);
	}
	assert_int_equal(read(pair[0], refusal, sizeof(*refusal)), sizeof(*refusal));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return WEXITSTATUS(status);
}

static void test_capabilities(void **state)
{
	static const int needed[] = {CAP_PERFMON, CAP_BPF, CAP_NET_ADMIN};
	struct refusal refusal = {.error = 0};
	uint64_t all = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		all |= 1ULL << needed[i];
	assert_int_equal(load_with(all, &refusal), 0);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		assert_int_equal(load_with(all & ~(1ULL << needed[i]), &refusal), REFUSED);
		assert_int_equal(refusal.error, EPERM);
		assert_non_null(strstr(refusal.text, "needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"));
	}
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_udp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mptcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_want, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pid_namespace_below, set_up, tear_down),
		cmocka_unit_test(test_pid_namespace_above),
		cmocka_unit_test_setup_teardown(test_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_overflow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two, set_up, tear_down),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_exclusive_cgroup),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}

int main(void)
{
	return sandbox_main(all_tests);
}

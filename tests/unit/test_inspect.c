/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What may be handed in: real descriptors of every kind. The inspection does not change them. The sockets are in a
 * network namespace of the test's own.
 */

#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "descriptors.h"
#include "sockets.h"
#include "util/macro.h"
#include "worker/inspect.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static uint64_t own_netns;

static int set_up(void **state)
{
	_cleanup_close_ int fd = -1;

	(void)state;
	enter_netns();
	fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	own_netns = netns_of(fd);
	return 0;
}

static int inspect(int fd, uint64_t netns, struct socket_facts *ret, struct refusal *refusal)
{
	size_t n = descriptors_count();
	struct look before, after;
	int r;

	take_look(fd, &before);
	r = inspect_socket(fd, netns, ret, refusal);
	take_look(fd, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(descriptors_count(), n);
	return r;
}

static const struct socket_facts untouched = {.cookie = 0x55555555, .port = 0x5555};

/* The refusal has this errno, and its text has all these parts. */
static void assert_refused(int fd, int error, const char *reason, const char *remedy)
{
	struct socket_facts facts = untouched;
	struct refusal refusal = {.error = 0};
	char name[64];

	assert_return_code(fd, errno);
	assert_int_equal(inspect(fd, own_netns, &facts, &refusal), REFUSED);
	if (refusal.error != error)
		fail_msg("%s instead of %s: %s", strerrorname_np(refusal.error), strerrorname_np(error),
			refusal.text);
	if (!strstr(refusal.text, reason) || !strstr(refusal.text, remedy))
		fail_msg("'%s' does not say '%s' and '%s'", refusal.text, reason, remedy);
	(void)snprintf(name, sizeof(name), " (%s); ", strerrorname_np(error));
	assert_non_null(strstr(refusal.text, name));
	/* starts with a verb, ends with no full stop */
	assert_true(!strncmp(refusal.text, "is ", 3) || !strncmp(refusal.text, "was ", 4) ||
		    !strncmp(refusal.text, "belongs ", 8));
	assert_int_not_equal(refusal.text[strlen(refusal.text) - 1], '.');
	assert_memory_equal(&facts, &untouched, sizeof(facts));
}

static void assert_refused_consume_fd(int fd, int error, const char *reason, const char *remedy)
{
	assert_refused(fd, error, reason, remedy);
	assert_return_code(close(fd), errno);
}

/* ---- no socket at all */

static void test_not_open(void **state)
{
	struct socket_facts facts;
	struct refusal refusal;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(inspect_socket(-1, own_netns, &facts, &refusal), -EBADF);
	assert_return_code(close(fd), errno);
	assert_int_equal(inspect_socket(fd, own_netns, &facts, &refusal), -EBADF);
}

#define WANTED "hand in a listening TCP or a bound UDP socket"

static void test_no_socket(void **state)
{
	char path[] = "/tmp/usher-inspect-XXXXXX";
	int fds[2], fd;

	(void)state;
	fd = mkstemp(path);
	assert_refused_consume_fd(fd, ENOTSOCK, path, WANTED);
	fd = open(path, O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_refused_consume_fd(fd, ENOTSOCK, path, WANTED);
	assert_return_code(unlink(path), errno);
	assert_return_code(pipe2(fds, O_CLOEXEC), errno);
	assert_refused_consume_fd(fds[0], ENOTSOCK, "is 'pipe:[", WANTED);
	assert_refused_consume_fd(fds[1], ENOTSOCK, "is 'pipe:[", WANTED);
	assert_refused_consume_fd(eventfd(3, EFD_CLOEXEC), ENOTSOCK, "is 'anon_inode:[eventfd]'", WANTED);
	assert_refused_consume_fd(
		epoll_create1(EPOLL_CLOEXEC), ENOTSOCK, "is 'anon_inode:[eventpoll]'", WANTED);
	assert_refused_consume_fd(memfd_create("secret", MFD_CLOEXEC), ENOTSOCK, "memfd:secret", WANTED);
	assert_refused_consume_fd(
		open("/", O_DIRECTORY | O_CLOEXEC), ENOTSOCK, "is '/', not a socket", WANTED);
	assert_refused_consume_fd(open("/dev/null", O_RDWR | O_CLOEXEC), ENOTSOCK, "is '/dev/null'", WANTED);
	assert_refused_consume_fd(
		open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), ENOTSOCK, "is 'net:[", WANTED);
	/* a name of the client's choice is cut, and cannot start a line of its own */
	assert_refused_consume_fd(
		memfd_create("a\nOK=1\x1b[2J", MFD_CLOEXEC), ENOTSOCK, "memfd:a?OK=1?[2J", WANTED);
	{
		char name[240];

		memset(name, 'n', sizeof(name) - 1);
		name[sizeof(name) - 1] = 0;
		assert_refused_consume_fd(memfd_create(name, MFD_CLOEXEC), ENOTSOCK, "memfd:nnn", WANTED);
	}
}

static void test_path_descriptors(void **state)
{
	static const char remedy[] = "hand in the listening socket itself";
	char folder[] = "/tmp/usher-inspect-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int unix_socket = new_socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_refused_consume_fd(open("/", O_PATH | O_CLOEXEC), EBADF, "O_PATH", remedy);
	assert_refused_consume_fd(open("/dev/null", O_PATH | O_CLOEXEC), EBADF, "O_PATH", remedy);
	/* a socket's inode is not its socket */
	assert_non_null(mkdtemp(folder));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	assert_return_code(bind(unix_socket, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_refused_consume_fd(open(address.sun_path, O_PATH | O_CLOEXEC), EBADF, "O_PATH", remedy);
	assert_return_code(unlink(address.sun_path), errno);
	assert_return_code(rmdir(folder), errno);
}

/* ---- sockets of other families and protocols */

/* Return: -1, with a comment, if this kernel lacks it or this process may not use it. */
static int try_socket(const char *what, int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0) {
		assert_true(errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ||
			    errno == EPERM || errno == EACCES || errno == ENOPROTOOPT || errno == EINVAL);
		print_message("# not looked at: '%s', which this machine does not offer (%s)\n", what,
			strerrorname_np(errno));
	}
	return fd;
}

static void test_other_families(void **state)
{
	static const struct {
		const char *reason;
		int family, type, protocol;
	} cases[] = {
		{"is a socket of AF_UNIX, not of IPv4 or IPv6", AF_UNIX, SOCK_STREAM, 0},
		{"is a socket of AF_UNIX,", AF_UNIX, SOCK_DGRAM, 0},
		{"is a socket of AF_UNIX,", AF_UNIX, SOCK_SEQPACKET, 0},
		{"is a socket of AF_NETLINK,", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
		{"is a socket of AF_PACKET,", AF_PACKET, SOCK_RAW, 0},
		{"is a socket of AF_PACKET,", AF_PACKET, SOCK_DGRAM, 0},
		{"is a socket of AF_VSOCK,", AF_VSOCK, SOCK_STREAM, 0},
		{"is a socket of address family 38,", AF_ALG, SOCK_SEQPACKET, 0},
	};
	int fds[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = try_socket(cases[i].reason, cases[i].family, cases[i].type, cases[i].protocol);

		if (fd >= 0)
			assert_refused_consume_fd(fd, EAFNOSUPPORT, cases[i].reason, WANTED);
	}
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
	assert_refused_consume_fd(fds[0], EAFNOSUPPORT, "AF_UNIX", WANTED);
	assert_refused_consume_fd(fds[1], EAFNOSUPPORT, "AF_UNIX", WANTED);
}

static void test_vsock_listener(void **state)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
	int fd = try_socket("AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0);

	(void)state;
	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		print_message("# AF_VSOCK does not listen here (%s)\n", strerrorname_np(errno));
	assert_refused_consume_fd(fd, EAFNOSUPPORT, "AF_VSOCK", WANTED);
}

static void test_unix_listener(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}; /* autobind */
	int fd = new_socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_return_code(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), errno);
	assert_return_code(listen(fd, 4), errno);
	assert_refused_consume_fd(fd, EAFNOSUPPORT, "AF_UNIX", WANTED);
}

static void test_other_protocols(void **state)
{
	static const struct {
		const char *reason;
		int family, type, protocol;
	} cases[] = {
		{"IP protocol 132 ", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
		{"IP protocol 132 ", AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP},
		{"IP protocol 33 ", AF_INET, SOCK_DCCP, IPPROTO_DCCP},
		{"IP protocol 136 ", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
		{"IP protocol 136 ", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE},
		{"IP protocol 1 ", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
		{"IP protocol 1 ", AF_INET, SOCK_RAW, IPPROTO_ICMP},
		/* raw sockets that look like wanted ones */
		{"IP protocol 6 and socket type 3", AF_INET, SOCK_RAW, IPPROTO_TCP},
		{"IP protocol 17 and socket type 3", AF_INET, SOCK_RAW, IPPROTO_UDP},
		{"IP protocol 17 and socket type 3", AF_INET6, SOCK_RAW, IPPROTO_UDP},
		{"IP protocol 255 ", AF_INET, SOCK_RAW, IPPROTO_RAW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = try_socket(cases[i].reason, cases[i].family, cases[i].type, cases[i].protocol);

		if (fd >= 0)
			assert_refused_consume_fd(fd, EPROTONOSUPPORT, cases[i].reason, WANTED);
	}
}

static void test_mptcp(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		int fd = try_socket("MPTCP", family_of(addresses[i]), SOCK_STREAM, IPPROTO_MPTCP);

		if (fd < 0)
			continue;
		bind_to(fd, addresses[i]);
		assert_return_code(listen(fd, 4), errno);
		assert_refused_consume_fd(fd, EOPNOTSUPP, "is an MPTCP listener", "GODEBUG=multipathtcp=0");
	}
}

/* ---- TCP and UDP that cannot serve */

static void test_tcp_states(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1", "::ffff:127.0.0.1"};
	static const char idle[] = "does not listen", listen_first[] = "call listen() before";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		int family = family_of(addresses[i]), listener = make_listener(addresses[i], 0);
		int client = new_socket(family, SOCK_STREAM, 0), accepted, fd;

		assert_refused_consume_fd(new_socket(family, SOCK_STREAM, 0), EINVAL, idle, listen_first);
		fd = new_socket(family, SOCK_STREAM, 0);
		bind_to(fd, addresses[i]);
		assert_refused_consume_fd(fd, EINVAL, idle, listen_first);

		connect_to_socket(client, listener);
		accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_refused(accepted, EISCONN, "is a connected TCP socket", "the one that listens");
		assert_refused(client, EISCONN, "is a connected TCP socket", "the one that listens");
		assert_return_code(close(accepted), errno);
		assert_return_code(close(client), errno);

		assert_return_code(shutdown(listener, SHUT_RD), errno);
		assert_refused_consume_fd(listener, EINVAL, idle, "do not shutdown() it");
	}
}

/* Half closed by the peer, and closed: neither is a listener, and the second is no longer connected. */
static void test_tcp_after_the_end(void **state)
{
	_cleanup_close_ int listener = make_listener("127.0.0.1", 0);
	int client = new_socket(AF_INET, SOCK_STREAM, 0), accepted;
	struct pollfd poll_fd;
	struct linger reset = {.l_onoff = 1};

	(void)state;
	connect_to_socket(client, listener);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_return_code(accepted, errno);
	assert_return_code(setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), errno);
	assert_return_code(close(accepted), errno);
	poll_fd = (struct pollfd){.fd = client, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 60000), 1);
	assert_refused_consume_fd(client, EINVAL, "does not listen", "call listen()");
}

static void test_udp_states(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1", "::ffff:127.0.0.1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		int family = family_of(addresses[i]), fd;
		_cleanup_close_ int other = make_udp(addresses[i]);
		struct sockaddr nobody = {.sa_family = AF_UNSPEC};
		struct socket_facts facts;
		struct refusal refusal;

		assert_refused_consume_fd(new_socket(family, SOCK_DGRAM, 0), EINVAL,
			"is a UDP socket that is not bound", "call bind()");
		fd = new_socket(family, SOCK_DGRAM, 0);
		connect_to_socket(fd, other);
		assert_refused_consume_fd(
			fd, EISCONN, "is a connected UDP socket", "the one that is only bound");
		fd = make_udp(addresses[i]);
		connect_to_socket(fd, other);
		assert_refused_consume_fd(
			fd, EISCONN, "is a connected UDP socket", "the one that is only bound");

		/* and disconnected again: still bound, if bind(2) chose the port */
		fd = new_socket(family, SOCK_DGRAM, 0);
		bind_to_port(fd, addresses[i], 4000);
		connect_to_socket(fd, other);
		assert_return_code(connect(fd, &nobody, sizeof(nobody)), errno);
		assert_int_equal(inspect(fd, own_netns, &facts, &refusal), 0);
		assert_return_code(close(fd), errno);
		/* a socket that was never bound loses its port with the connection */
		fd = new_socket(family, SOCK_DGRAM, 0);
		connect_to_socket(fd, other);
		assert_return_code(connect(fd, &nobody, sizeof(nobody)), errno);
		assert_refused_consume_fd(fd, EINVAL, "is not bound", "call bind()");
	}
}

/* Reading SO_ERROR clears it, and only the client should read it. */
static void test_pending_error_stays(void **state)
{
	_cleanup_close_ int fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	int closed = make_udp("127.0.0.1"), error;
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	socklen_t size = sizeof(error);
	struct socket_facts facts;
	struct refusal refusal;

	(void)state;
	connect_to_socket(fd, closed);
	assert_return_code(close(closed), errno);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(poll(&poll_fd, 1, 60000), 1);
	assert_int_equal(inspect(fd, own_netns, &facts, &refusal), REFUSED);
	assert_int_equal(refusal.error, EISCONN);
	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), errno);
	assert_int_equal(error, ECONNREFUSED);
}

/* ---- what is let in */

struct good {
	const char *address;
	int v6only; /* -1: an IPv4 socket */
	bool ipv4, ipv6;
	const char *facts_address;
};

static const struct good good[] = {
	{"127.0.0.1", -1, true, false, "127.0.0.1"},
	{"127.0.0.2", -1, true, false, "127.0.0.2"},
	{"0.0.0.0", -1, true, false, "0.0.0.0"},
	{"::1", 1, false, true, "::1"},
	{"::1", 0, false, true, "::1"}, /* bind(2) to one IPv6 address sets v6-only (__inet6_bind()) */
	{"::", 1, false, true, "::"},
	{"::", 0, true, true, "::"},
	{"::ffff:127.0.0.1", 0, true, false, "127.0.0.1"},
	{"::ffff:0.0.0.0", 0, true, false, "0.0.0.0"},
};

static void look_at_good(const struct good *case_, int type)
{
	_cleanup_close_ int fd = new_socket(family_of(case_->address), type, 0);
	struct socket_facts facts;
	struct refusal refusal = {.text = ""};
	uint8_t address[16] = {0};
	uint64_t cookie;
	socklen_t size = sizeof(cookie);
	uint16_t port;

	if (case_->v6only >= 0)
		assert_return_code(
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &case_->v6only, sizeof(case_->v6only)),
			errno);
	port = bind_to(fd, case_->address);
	if (type == SOCK_STREAM)
		assert_return_code(listen(fd, 4), errno);
	memset(&facts, 0x55, sizeof(facts));
	if (inspect(fd, own_netns, &facts, &refusal))
		fail_msg("%s: %s", case_->address, refusal.text);
	assert_int_equal(facts.protocol, type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
	assert_int_equal(facts.serves_ipv4, case_->ipv4);
	assert_int_equal(facts.serves_ipv6, case_->ipv6);
	assert_int_equal(facts.address_family, family_of(case_->facts_address));
	assert_int_equal(inet_pton(family_of(case_->facts_address), case_->facts_address, address), 1);
	assert_memory_equal(facts.address, address, sizeof(address));
	assert_int_equal(facts.port, port);
	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), errno);
	assert_true(facts.cookie == cookie && cookie);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		look_at_good(&good[i], SOCK_STREAM);
		look_at_good(&good[i], SOCK_DGRAM);
	}
}

/* A socket in use: with options, and with a connection and a datagram waiting, which stay */
static void test_good_stays_as_it_is(void **state)
{
	_cleanup_close_ int listener = new_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	_cleanup_close_ int client = new_socket(AF_INET6, SOCK_STREAM, 0), accepted = -1;
	_cleanup_close_ int udp = make_udp("127.0.0.1"), sender = new_socket(AF_INET, SOCK_DGRAM, 0);
	struct linger linger = {.l_onoff = 1, .l_linger = 7};
	int on = 1, mark = 5;
	struct pollfd poll_fd = {.fd = udp, .events = POLLIN};
	struct socket_facts facts;
	struct refusal refusal;
	char text[8];

	(void)state;
	assert_return_code(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), errno);
	assert_return_code(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), errno);
	assert_return_code(setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), errno);
	assert_return_code(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), errno);
	(void)setsockopt(listener, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	bind_to(listener, "::1");
	assert_return_code(listen(listener, 4), errno);
	connect_to_socket(client, listener);
	assert_int_equal(poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, 60000), 1);
	assert_int_equal(inspect(listener, own_netns, &facts, &refusal), 0);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_return_code(accepted, errno);

	connect_to_socket(sender, udp);
	assert_int_equal(send(sender, "hello", 5, 0), 5);
	assert_int_equal(poll(&poll_fd, 1, 60000), 1);
	assert_int_equal(inspect(udp, own_netns, &facts, &refusal), 0);
	assert_int_equal(recv(udp, text, sizeof(text), MSG_DONTWAIT), 5);
}

/* ---- the network namespace */

static void test_other_netns(void **state)
{
	static const char remedy[] = "hand it to the usherd of its own namespace";
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int tcp, udp, idle, dgram;

	(void)state;
	assert_return_code(home, errno);
	enter_netns();
	tcp = make_listener("127.0.0.1", 0);
	udp = make_udp("::1");
	idle = new_socket(AF_INET, SOCK_STREAM, 0);
	dgram = new_socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_return_code(setns(home, CLONE_NEWNET), errno);
	assert_true(netns_of(tcp) != own_netns);
	assert_refused_consume_fd(tcp, EXDEV, "belongs to another network namespace", remedy);
	assert_refused_consume_fd(udp, EXDEV, "belongs to another network namespace", remedy);
	/* faults that every namespace has come first, before those of this one */
	assert_refused_consume_fd(idle, EXDEV, "belongs to another network namespace", remedy);
	assert_refused_consume_fd(dgram, EAFNOSUPPORT, "AF_UNIX", WANTED);
}

static void test_wrong_cookie(void **state)
{
	_cleanup_close_ int fd = make_listener("127.0.0.1", 0);
	struct socket_facts facts;
	struct refusal refusal;

	(void)state;
	assert_int_equal(inspect(fd, own_netns + 1, &facts, &refusal), REFUSED);
	assert_int_equal(refusal.error, EXDEV);
	assert_int_equal(inspect(fd, own_netns ^ UINT64_C(1) << 32, &facts, &refusal), REFUSED);
	assert_int_equal(refusal.error, EXDEV);
	assert_int_equal(inspect(fd, own_netns, &facts, &refusal), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_open),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_path_descriptors),
		cmocka_unit_test(test_other_families),
		cmocka_unit_test(test_vsock_listener),
		cmocka_unit_test(test_unix_listener),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_tcp_states),
		cmocka_unit_test(test_tcp_after_the_end),
		cmocka_unit_test(test_udp_states),
		cmocka_unit_test(test_pending_error_stays),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_good_stays_as_it_is),
		cmocka_unit_test(test_other_netns),
		cmocka_unit_test(test_wrong_cookie),
	};

	return cmocka_run_group_tests_name("inspect", tests, set_up, NULL);
}

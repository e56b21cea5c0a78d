/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The UDP calls of libusher on loopback, without a broker: 127.0.0.0/8 is local, so that a socket of every address
 * answers from any of them.
 */

#undef NDEBUG
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/usher.h"
#include "util/macro.h"

static void assert_reason(const char *part)
{
	if (!strstr(usher_reason(), part))
		fail_msg("'%s' does not say '%s'", usher_reason(), part);
}

static struct sockaddr_storage address_of(const char *text, in_port_t port)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};

	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) == 1) {
		((struct sockaddr_in *)&address)->sin_port = port;
		return address;
	}
	address.ss_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr), 1);
	((struct sockaddr_in6 *)&address)->sin6_port = port;
	return address;
}

static void assert_address(const struct sockaddr_storage *found, const char *text, in_port_t port)
{
	struct sockaddr_storage wanted = address_of(text, port);

	assert_int_equal(found->ss_family, wanted.ss_family);
	if (wanted.ss_family == AF_INET)
		assert_memory_equal(&((const struct sockaddr_in *)found)->sin_addr,
			&((struct sockaddr_in *)&wanted)->sin_addr, sizeof(struct in_addr));
	else
		assert_memory_equal(&((const struct sockaddr_in6 *)found)->sin6_addr,
			&((struct sockaddr_in6 *)&wanted)->sin6_addr, sizeof(struct in6_addr));
	assert_int_equal(((const struct sockaddr_in *)found)->sin_port, port);
}

/* Returns the port. */
static in_port_t open_bound(const char *text, int *ret)
{
	struct sockaddr_storage address = address_of(text, 0);
	socklen_t size = sizeof(address);
	const int yes = 1, no = 0;

	*ret = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_return_code(*ret, errno);
	assert_return_code(setsockopt(*ret, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), errno);
	if (address.ss_family == AF_INET6)
		assert_return_code(setsockopt(*ret, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), errno);
	assert_return_code(bind(*ret, (struct sockaddr *)&address, size), errno);
	assert_return_code(getsockname(*ret, (struct sockaddr *)&address, &size), errno);
	return ((struct sockaddr_in *)&address)->sin_port;
}

static void send_to(int fd, const char *text, in_port_t port, const char *data)
{
	struct sockaddr_storage address = address_of(text, port);

	assert_int_equal(sendto(fd, data, strlen(data), 0, (struct sockaddr *)&address,
				 address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							      : sizeof(struct sockaddr_in6)),
		strlen(data));
}

static void assert_comes(int fd, const char *data, const char *from, in_port_t port)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	struct sockaddr_storage sender;
	socklen_t size = sizeof(sender);
	char buffer[64];
	ssize_t n;

	assert_int_equal(poll(&wait, 1, 30000), 1);
	n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&sender, &size);
	assert_int_equal(n, strlen(data));
	assert_memory_equal(buffer, data, strlen(data));
	assert_address(&sender, from, port);
}

static void assert_nothing_comes(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

struct scene {
	const char *server, *client, *asked, *path_client, *path_asked;
};

static const struct scene scenes[] = {
	{"0.0.0.0", "127.0.0.9", "127.0.0.3", "127.0.0.9", "127.0.0.3"},
	{"127.0.0.3", "127.0.0.9", "127.0.0.3", "127.0.0.9", "127.0.0.3"},
	{"::", "127.0.0.9", "127.0.0.3", "::ffff:127.0.0.9", "::ffff:127.0.0.3"},
	{"::ffff:127.0.0.3", "127.0.0.9", "127.0.0.3", "::ffff:127.0.0.9", "::ffff:127.0.0.3"},
	{"::", "::1", "::1", "::1", "::1"},
	{"::1", "::1", "::1", "::1", "::1"},
};

static void receive(int server, const char *data, struct usher_udp_path *ret)
{
	char buffer[64];

	assert_int_equal(usher_udp_receive(server, buffer, sizeof(buffer), 0, ret), strlen(data));
	assert_memory_equal(buffer, data, strlen(data));
	assert_string_equal(usher_reason(), "");
}

static void test_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *scene = &scenes[i];
		_cleanup_close_ int server = -1, client = -1;
		in_port_t port = open_bound(scene->server, &server), own = open_bound(scene->client, &client);
		struct usher_udp_path path;

		assert_int_equal(usher_udp_prepare(server), 0);
		send_to(client, scene->asked, port, "hello");
		receive(server, "hello", &path);
		assert_address(&path.client, scene->path_client, own);
		assert_address(&path.original, scene->path_asked, port);
		assert_int_not_equal(path.device, 0);
		assert_int_equal(usher_udp_send(server, "answer", 6, 0, &path), 6);
		assert_comes(client, "answer", scene->asked, port);
		/* it can be used again, and for nothing */
		assert_int_equal(usher_udp_send(server, NULL, 0, 0, &path), 0);
		assert_comes(client, "", scene->asked, port);
	}
}

static void test_flow(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *scene = &scenes[i];
		_cleanup_close_ int server = -1, client = -1, other = -1, flow = -1;
		in_port_t port = open_bound(scene->server, &server);
		struct usher_udp_path path;
		char buffer[64];

		(void)open_bound(scene->client, &client);
		(void)open_bound(scene->client, &other);
		assert_int_equal(usher_udp_prepare(server), 0);
		send_to(client, scene->asked, port, "hello");
		receive(server, "hello", &path);
		flow = usher_udp_flow(&path, SOCK_NONBLOCK);
		assert_return_code(flow, -flow);
		assert_int_equal(send(flow, "answer", 6, 0), 6);
		assert_comes(client, "answer", scene->asked, port);
		assert_int_equal(recv(flow, buffer, sizeof(buffer), 0), -1);
		assert_int_equal(errno, EAGAIN);
		send_to(client, scene->asked, port, "more");
		assert_int_equal(recv(flow, buffer, sizeof(buffer), 0), 4);
		assert_nothing_comes(server);
		send_to(other, scene->asked, port, "other");
		receive(server, "other", &path);
		close(TAKE_FD(flow));
		send_to(client, scene->asked, port, "last");
		receive(server, "last", &path);
	}
}

static void test_not_asked_for(void **state)
{
	_cleanup_close_ int server = -1, client = -1;
	in_port_t port = open_bound("127.0.0.3", &server);
	struct usher_udp_path path;

	(void)state;
	(void)open_bound("127.0.0.9", &client);
	send_to(client, "127.0.0.3", port, "hello");
	receive(server, "hello", &path);
	assert_int_equal(path.original.ss_family, AF_UNSPEC);
	/* the kernel chooses */
	assert_int_equal(usher_udp_send(server, "answer", 6, 0, &path), 6);
	assert_comes(client, "answer", "127.0.0.3", port);
	assert_int_equal(usher_udp_flow(&path, 0), -EINVAL);
	assert_reason("call usher_udp_prepare() before usher_udp_receive()");
}

static void test_datagram_that_waits_already(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		const struct scene *scene = &scenes[i];
		_cleanup_close_ int server = -1, client = -1;
		in_port_t port = open_bound(scene->server, &server);
		struct usher_udp_path path;

		(void)open_bound(scene->client, &client);
		send_to(client, scene->asked, port, "hello");
		assert_int_equal(usher_udp_prepare(server), 0);
		receive(server, "hello", &path);
		assert_address(&path.original, scene->path_asked, port);
	}
}

static void test_wait(void **state)
{
	_cleanup_close_ int server = -1;
	struct usher_udp_path path = {.device = 77};
	char byte = 'x';

	(void)state;
	(void)open_bound("127.0.0.3", &server);
	assert_int_equal(usher_udp_prepare(server), 0);
	assert_int_equal(usher_udp_receive(server, &byte, 1, MSG_DONTWAIT, &path), -EAGAIN);
	assert_reason("EAGAIN");
	assert_int_equal(path.device, 77);
	assert_int_equal(byte, 'x');
}

static void test_truncated(void **state)
{
	_cleanup_close_ int server = -1, client = -1;
	in_port_t port = open_bound("0.0.0.0", &server);
	struct usher_udp_path path;
	char byte;

	(void)state;
	(void)open_bound("127.0.0.9", &client);
	assert_int_equal(usher_udp_prepare(server), 0);
	send_to(client, "127.0.0.3", port, "hello");
	send_to(client, "127.0.0.4", port, "hello");
	assert_int_equal(usher_udp_receive(server, &byte, 1, MSG_TRUNC | MSG_PEEK, &path), 5);
	assert_int_equal(usher_udp_receive(server, &byte, 1, 0, &path), 1);
	assert_address(&path.original, "127.0.0.3", port);
	assert_int_equal(usher_udp_receive(server, NULL, 0, 0, &path), 0);
	assert_address(&path.original, "127.0.0.4", port);
}

static void test_refused(void **state)
{
	_cleanup_close_ int server = -1, stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			    local = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	in_port_t port = open_bound("0.0.0.0", &server);
	struct usher_udp_path path = {
		.client = address_of("127.0.0.9", htons(9)), .original = address_of("127.0.0.3", htons(9))};

	(void)state;
	assert_int_equal(usher_udp_prepare(-1), -EBADF);
	assert_int_equal(usher_udp_prepare(stream), -EPROTOTYPE);
	assert_int_equal(usher_udp_prepare(local), -EPROTOTYPE);
	assert_reason("is not a UDP socket (EPROTOTYPE)");
	assert_int_equal(usher_udp_send(-1, "x", 1, 0, &path), -EBADF);
	assert_int_equal(usher_udp_send(server, "x", 1, 0, &path), -EADDRNOTAVAIL);
	assert_reason("the client sent to 127.0.0.3:9, and an answer of socket");
	path.original = address_of("192.0.2.1", port);
	assert_true(usher_udp_send(server, "x", 1, 0, &path) < 0);
	assert_reason("that is no local address of this host");
	assert_int_equal(usher_udp_flow(&path, 0), -EADDRNOTAVAIL);
	assert_reason("cannot bind 192.0.2.1:");
	assert_int_equal(usher_udp_flow(&path, SOCK_CLOEXEC), -EINVAL);
	path.original = address_of("::1", port);
	assert_int_equal(usher_udp_send(server, "x", 1, 0, &path), -EAFNOSUPPORT);
	path.original = address_of("224.0.0.9", port);
	assert_int_equal(usher_udp_flow(&path, 0), -EINVAL);
	assert_int_equal(usher_udp_send(server, "x", 1, 0, &path), 1);
}

static void test_taken(void **state)
{
	_cleanup_close_ int server = -1, client = -1;
	in_port_t port = open_bound("127.0.0.3", &server);
	struct usher_udp_path path;
	const int no = 0;

	(void)state;
	(void)open_bound("127.0.0.9", &client);
	assert_int_equal(usher_udp_prepare(server), 0);
	assert_return_code(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &no, sizeof(no)), errno);
	send_to(client, "127.0.0.3", port, "hello");
	receive(server, "hello", &path);
	assert_int_equal(usher_udp_flow(&path, 0), -EADDRINUSE);
	assert_reason("is in use by a socket without SO_REUSEADDR (EADDRINUSE)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_not_asked_for),
		cmocka_unit_test(test_datagram_that_waits_already),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

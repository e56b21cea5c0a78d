/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * sock_diag: bytes that no kernel sends, and a real list of sockets of every kind in a network namespace of the
 * test's own
 */

#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scan/diag_reply.h"
#include "sockets.h"
#include "util/macro.h"

#define SEQUENCE 7
#define PORTID 1234

/* A datagram under construction, aligned as by malloc(3) */
struct datagram {
	_Alignas(16) unsigned char bytes[4096];
	size_t size;
};

static void put(struct datagram *datagram, const void *data, size_t size)
{
	assert(datagram->size + size + 3 < sizeof(datagram->bytes));
	memcpy(datagram->bytes + datagram->size, data, size);
	datagram->size += (size + 3) & ~3U;
}

/* Return: where it starts, for end_message(). */
static size_t begin_message(struct datagram *datagram, uint16_t type)
{
	struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_seq = SEQUENCE, .nlmsg_pid = PORTID};
	size_t start = datagram->size;

	put(datagram, &header, sizeof(header));
	return start;
}

static struct nlmsghdr *end_message(struct datagram *datagram, size_t start)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(datagram->bytes + start);

	header->nlmsg_len = (uint32_t)(datagram->size - start);
	return header;
}

static struct inet_diag_msg listener(uint16_t port)
{
	return (struct inet_diag_msg){.idiag_family = AF_INET,
		.idiag_state = TCP_LISTEN,
		.id = {.idiag_sport = htons(port), .idiag_cookie = {port, 1}},
		.idiag_inode = 99,
		.idiag_wqueue = 5};
}

static struct nlmsghdr *put_socket(struct datagram *datagram, const struct inet_diag_msg *message)
{
	size_t start = begin_message(datagram, SOCK_DIAG_BY_FAMILY);

	put(datagram, message, sizeof(*message));
	return end_message(datagram, start);
}

static struct nlmsghdr *put_number(struct datagram *datagram, uint16_t type, int number)
{
	size_t start = begin_message(datagram, type);

	put(datagram, &number, sizeof(number));
	return end_message(datagram, start);
}

static struct diag_query tcp4(void)
{
	return (struct diag_query){
		.protocol = IPPROTO_TCP, .family = AF_INET, .sequence = SEQUENCE, .portid = PORTID};
}

/* A copy of the exact size, so that a sanitizer sees reads beyond it */
static int read_datagram(const struct diag_query *query, const void *bytes, size_t size, size_t *ret_n)
{
	struct diag_list list = {.n = 0};
	void *copy = malloc(size ? size : 1);
	int r;

	assert(copy);
	memcpy(copy, bytes, size);
	r = diag_reply_read(query, copy, size, &list);
	*ret_n = list.n;
	free(copy);
	free(list.items);
	return r;
}

static void expect(const struct datagram *datagram, int result, size_t n)
{
	struct diag_query query = tcp4();
	size_t listed;

	assert_int_equal(read_datagram(&query, datagram->bytes, datagram->size, &listed), result);
	assert_int_equal(listed, n);
}

static void answers_of_the_kernel(void **state)
{
	static const struct {
		uint16_t type;
		int number, result;
	} cases[] = {
		{NLMSG_DONE, 0, DIAG_END},
		{NLMSG_DONE, -ENOENT, -ENOENT},
		{NLMSG_ERROR, -EPERM, -EPERM},
		{NLMSG_ERROR, 0, -EBADMSG},
		{NLMSG_ERROR, 5, -EBADMSG},
		{NLMSG_DONE, INT32_MIN, -EBADMSG},
		{NLMSG_DONE, -4096, -EBADMSG},
		{NLMSG_NOOP, 0, 0},
		{NLMSG_OVERRUN, 0, DIAG_INTERRUPTED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct datagram datagram = {.size = 0};

		(void)put_number(&datagram, cases[i].type, cases[i].number);
		expect(&datagram, cases[i].result, 0);
	}
}

static void an_interrupted_dump_is_worth_nothing(void **state)
{
	struct inet_diag_msg message = listener(80);
	struct datagram datagram = {.size = 0};

	(void)state;
	(void)put_socket(&datagram, &message);
	put_socket(&datagram, &message)->nlmsg_flags = NLM_F_DUMP_INTR;
	expect(&datagram, DIAG_INTERRUPTED, 1);
}

static void what_was_not_asked_for_is_passed_over(void **state)
{
	struct inet_diag_msg other[6];
	struct datagram datagram = {.size = 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		other[i] = listener(80);
	other[0].idiag_family = AF_INET6;
	other[1].idiag_state = TCP_ESTABLISHED;
	other[2].id.idiag_sport = 0;
	other[3].id.idiag_dport = htons(9);
	for (size_t i = 0; i < 4; i++)
		(void)put_socket(&datagram, &other[i]);
	put_socket(&datagram, &other[4])->nlmsg_seq = SEQUENCE + 1;
	put_socket(&datagram, &other[5])->nlmsg_pid = PORTID + 1;
	(void)put_number(&datagram, NLMSG_DONE, 0);
	expect(&datagram, DIAG_END, 0);
}

static void ports_are_compared(void **state)
{
	static const uint16_t ports[] = {22, 80, 443};
	struct diag_query query = tcp4();
	struct datagram datagram = {.size = 0};
	size_t n;

	(void)state;
	query.ports = ports;
	query.n_ports = ARRAY_SIZE(ports);
	for (uint16_t port = 79; port <= 81; port++) {
		struct inet_diag_msg message = listener(port);

		(void)put_socket(&datagram, &message);
	}
	assert_int_equal(read_datagram(&query, datagram.bytes, datagram.size, &n), 0);
	assert_int_equal(n, 1);
}

/* Every length that a header or an attribute can claim: the parser reads to the end and no further. */
static void lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {
		0, 1, 15, 16, 17, 87, 88, 89, 4096, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
	struct inet_diag_msg message = listener(80);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct datagram datagram = {.size = 0};

		put_socket(&datagram, &message)->nlmsg_len = lengths[i];
		/* 88 is correct */
		expect(&datagram, lengths[i] == 88 ? 0 : -EBADMSG, lengths[i] == 88);
	}
}

static void attributes_that_lie(void **state)
{
	struct inet_diag_msg message = listener(80);

	(void)state;
	for (uint32_t length = 0; length < 0x10000; length += length < 64 ? 1 : 4093)
		for (uint16_t type = 0; type <= INET_DIAG_MAX + 1; type++) {
			struct datagram datagram = {.size = 0};
			size_t start = begin_message(&datagram, SOCK_DIAG_BY_FAMILY);
			struct nlattr attribute = {.nla_len = (uint16_t)length, .nla_type = type};
			struct nlattr inner = {.nla_len = (uint16_t)length, .nla_type = INET_ULP_INFO_NAME};

			put(&datagram, &message, sizeof(message));
			put(&datagram, &attribute, sizeof(attribute));
			put(&datagram, &inner, sizeof(inner));
			(void)end_message(&datagram, start);
			expect(&datagram, 0, 1);
		}
}

static void every_cut_and_every_byte(void **state)
{
	struct inet_diag_msg message = listener(80);
	struct datagram datagram = {.size = 0};
	struct diag_query query = tcp4();
	size_t n;

	(void)state;
	(void)put_socket(&datagram, &message);
	(void)put_number(&datagram, NLMSG_DONE, 0);
	for (size_t size = 0; size < datagram.size; size++)
		assert_true(read_datagram(&query, datagram.bytes, size, &n) <= 0);
	for (size_t i = 0; i < datagram.size; i++)
		for (unsigned value = 0; value < 256; value++) {
			struct datagram changed = datagram;

			changed.bytes[i] = (unsigned char)value;
			(void)read_datagram(&query, changed.bytes, changed.size, &n);
			assert_true(n <= 1);
		}
}

/* ---- For real --------------------------------------------------------------------------------------------------- */

static const struct diag_socket *find(const struct diag_socket *sockets, size_t n, int fd)
{
	socklen_t size = sizeof(uint64_t);
	const struct diag_socket *found = NULL;
	uint64_t cookie;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
	for (size_t i = 0; i < n; i++) {
		if (sockets[i].cookie != cookie)
			continue;
		assert_null(found);
		found = &sockets[i];
	}
	return found;
}

static ino_t inode_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_ino;
}

static void dump(
	uint8_t protocol, const uint16_t *ports, size_t n_ports, struct diag_socket **ret, size_t *ret_n)
{
	struct refusal refusal = {.error = 0};

	*ret = NULL;
	assert_int_equal(diag_dump(protocol, ports, n_ports, ret, ret_n, &refusal), 0);
	for (size_t i = 1; i < *ret_n; i++)
		assert_true((*ret)[i - 1].protocol <= (*ret)[i].protocol);
}

static void listed_is_what_listens_or_is_bound(void **state)
{
	_cleanup_close_ int tcp4_fd = make_listener("127.0.0.2", 0), tcp6_fd = make_listener("::1", 0);
	_cleanup_close_ int udp4_fd = make_udp("127.0.0.2"), udp6_fd = make_udp("::1");
	_cleanup_close_ int connected = make_udp("127.0.0.3"), unbound = new_socket(AF_INET, SOCK_DGRAM, 0);
	_cleanup_close_ int client = new_socket(AF_INET, SOCK_STREAM, 0);
	_cleanup_free_ struct diag_socket *sockets = NULL;
	const struct diag_socket *found;
	size_t n;

	(void)state;
	connect_to_socket(connected, udp4_fd);
	connect_to_socket(client, tcp4_fd);
	dump(0, NULL, 0, &sockets, &n);
	found = find(sockets, n, tcp4_fd);
	assert_non_null(found);
	assert_int_equal(found->protocol, IPPROTO_TCP);
	assert_int_equal(found->family, AF_INET);
	assert_memory_equal(found->address, ((uint8_t[]){127, 0, 0, 2}), 4);
	assert_int_equal(found->inode, inode_of(tcp4_fd));
	assert_int_equal(found->uid, getuid());
	assert_int_equal(found->queue, 1);
	assert_true(found->queue_max > 0);
	found = find(sockets, n, tcp6_fd);
	assert_non_null(found);
	assert_int_equal(found->family, AF_INET6);
	assert_int_equal(found->address[15], 1);
	assert_int_equal(find(sockets, n, udp4_fd)->protocol, IPPROTO_UDP);
	assert_int_equal(find(sockets, n, udp6_fd)->family, AF_INET6);
	assert_null(find(sockets, n, connected));
	assert_null(find(sockets, n, unbound));
	assert_null(find(sockets, n, client));
}

static void how_it_is_bound(void **state)
{
	_cleanup_close_ int dual = new_socket(AF_INET6, SOCK_STREAM, 0);
	_cleanup_close_ int only6 = new_socket(AF_INET6, SOCK_STREAM, 0);
	_cleanup_close_ int mapped = new_socket(AF_INET6, SOCK_DGRAM, 0);
	_cleanup_close_ int interface = new_socket(AF_INET, SOCK_DGRAM, 0);
	_cleanup_free_ struct diag_socket *sockets = NULL;
	const struct diag_socket *found;
	const uint8_t *address;
	size_t n;
	int one = 1;

	(void)state;
	assert_int_equal(setsockopt(only6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(interface, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	(void)bind_to(dual, "::");
	(void)bind_to(only6, "::");
	(void)bind_to(mapped, "::ffff:127.0.0.2");
	(void)bind_to(interface, "127.0.0.2");
	assert_int_equal(listen(dual, 1), 0);
	assert_int_equal(listen(only6, 1), 0);
	dump(0, NULL, 0, &sockets, &n);
	assert_false(find(sockets, n, dual)->v6only);
	assert_true(find(sockets, n, only6)->v6only);
	assert_int_equal(find(sockets, n, interface)->interface, 1);
	assert_int_equal(find(sockets, n, dual)->interface, 0);
	found = find(sockets, n, mapped);
	assert_int_equal(found->family, AF_INET6);
	assert_int_equal(diag_address(found, &address), AF_INET);
	assert_memory_equal(address, ((uint8_t[]){127, 0, 0, 2}), 4);
	assert_int_equal(diag_address(find(sockets, n, dual), &address), AF_INET6);
}

static void transparent_is_told(void **state)
{
	int fds[] = {new_socket(AF_INET, SOCK_STREAM, 0), new_socket(AF_INET, SOCK_STREAM, 0)}, yes = 1;
	_cleanup_free_ struct diag_socket *sockets = NULL;
	size_t n;

	(void)state;
	if (setsockopt(fds[0], SOL_IP, IP_TRANSPARENT, &yes, sizeof(yes)) < 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		(void)bind_to(fds[i], "127.0.0.2");
		assert_int_equal(listen(fds[i], 1), 0);
	}
	dump(IPPROTO_TCP, NULL, 0, &sockets, &n);
	assert_true(find(sockets, n, fds[0])->transparent);
	assert_false(find(sockets, n, fds[1])->transparent);
}

static void mptcp_is_told(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	_cleanup_free_ struct diag_socket *sockets = NULL;
	uint16_t port;
	size_t n;

	(void)state;
	if (fd < 0)
		skip();
	port = bind_to(fd, "127.0.0.2");
	assert_int_equal(listen(fd, 1), 0);
	dump(IPPROTO_TCP, &port, 1, &sockets, &n);
	assert_int_equal(n, 1);
	/* the TCP socket inside */
	assert_int_equal(sockets->inode, inode_of(fd));
	assert_null(find(sockets, n, fd));
	assert_true(sockets->mptcp);
	(void)close(fd);
}

/* The number of ports that the kernel compares, one more, and more than there are sockets */
static void a_filter_of_any_size(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 80, 255, 256, 257, 5000};
	uint16_t ports[5000];
	int fds[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = new_socket(i % 2 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
		(void)bind_to_port(fds[i], i % 2 ? "127.0.0.2" : "::1", (uint16_t)(20000 + i));
	}
	/* unsorted, and some twice */
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		ports[i] = (uint16_t)(20000 + i * 7 % 100 + i / 100 * 100);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct diag_socket *sockets;
		size_t n, expected = 0;

		dump(IPPROTO_UDP, ports, sizes[i], &sockets, &n);
		for (size_t k = 0; k < ARRAY_SIZE(fds); k++) {
			bool wanted = false;

			for (size_t p = 0; p < sizes[i]; p++)
				wanted |= ports[p] == 20000 + k;
			assert_int_equal(find(sockets, n, fds[k]) != NULL, wanted);
			expected += wanted;
		}
		assert_int_equal(n, expected);
		free(sockets);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

static void nothing_is_left_open(void **state)
{
	int before = dup(0), after;
	struct diag_socket *sockets;
	size_t n;

	(void)state;
	(void)close(before);
	for (int i = 0; i < 10; i++) {
		dump(0, NULL, 0, &sockets, &n);
		free(sockets);
	}
	after = dup(0);
	(void)close(after);
	assert_int_equal(before, after);
}

static void no_descriptor_is_a_refusal(void **state)
{
	struct rlimit limit, none;
	struct refusal refusal = {.error = 0};
	struct diag_socket *sockets;
	size_t n;
	int r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = diag_dump(IPPROTO_TCP, NULL, 0, &sockets, &n, &refusal);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, REFUSED);
	assert_int_equal(refusal.error, EMFILE);
	assert_non_null(strstr(refusal.text, "EMFILE"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_of_the_kernel),
		cmocka_unit_test(an_interrupted_dump_is_worth_nothing),
		cmocka_unit_test(what_was_not_asked_for_is_passed_over),
		cmocka_unit_test(ports_are_compared),
		cmocka_unit_test(lengths_that_lie),
		cmocka_unit_test(attributes_that_lie),
		cmocka_unit_test(every_cut_and_every_byte),
		cmocka_unit_test(listed_is_what_listens_or_is_bound),
		cmocka_unit_test(how_it_is_bound),
		cmocka_unit_test(transparent_is_told),
		cmocka_unit_test(mptcp_is_told),
		cmocka_unit_test(a_filter_of_any_size),
		cmocka_unit_test(nothing_is_left_open),
		cmocka_unit_test(no_descriptor_is_a_refusal),
	};

	enter_netns();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

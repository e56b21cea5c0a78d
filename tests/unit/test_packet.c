/* SPDX-License-Identifier: BSD-3-Clause */

/* Packets over real socket pairs. Every test counts the open descriptors of the process. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <cmocka.h>

#include "descriptors.h"
#include "util/macro.h"
#include "wire/message.h"
#include "wire/packet.h"

/* ---- helpers ---- */

struct pair {
	int sender, receiver;
	size_t n_open; /* before the pair */
};

static struct pair pair_new(int type)
{
	struct pair pair = {.n_open = descriptors_count()};
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
	pair.sender = fds[0];
	pair.receiver = fds[1];
	return pair;
}

/* Close the pair, and check that nothing else stayed open. */
static void pair_free(struct pair *pair)
{
	closep(&pair->sender);
	closep(&pair->receiver);
	assert_int_equal(descriptors_count(), pair->n_open);
}

static void enable(int socket, int option)
{
	assert_return_code(setsockopt(socket, SOL_SOCKET, option, &(int){1}, sizeof(int)), errno);
}

/* sendmsg(2) without the checks of packet_send(): descriptors in one control message or two */
static ssize_t send_raw(
	int socket, const void *text, size_t size, const int *fds, size_t n_first, size_t n_second)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(300 * sizeof(int)) * 2];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)text, .iov_len = size};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	size_t counts[] = {n_first, n_second};

	for (size_t i = 0; i < 2 && counts[i]; i++) {
		size_t n_bytes = counts[i] * sizeof(int);
		struct cmsghdr *c = (struct cmsghdr *)(control.bytes + header.msg_controllen);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_bytes);
		memcpy(CMSG_DATA(c), fds, n_bytes);
		fds += counts[i];
		header.msg_controllen += CMSG_SPACE(n_bytes);
	}
	if (!header.msg_controllen)
		header.msg_control = NULL;
	return sendmsg(socket, &header, MSG_NOSIGNAL);
}

static void assert_same_file(int a, int b)
{
	struct stat sa, sb;

	assert_return_code(fstat(a, &sa), errno);
	assert_return_code(fstat(b, &sb), errno);
	assert_true(sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino);
}

static void assert_empty(const struct packet *packet)
{
	assert_int_equal(packet->size, 0);
	assert_int_equal(packet->n_fds, 0);
	assert_int_equal(packet->pidfd, -1);
	assert_false(packet->has_credentials);
}

/* ---- packets that are taken ---- */

static void test_packet_carries_text_and_descriptors(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int pipe_fds[2], taken;

	(void)state;
	assert_return_code(pipe(pipe_fds), errno);
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, pipe_fds, 2), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.size, 4);
	assert_string_equal(packet.text, "A=1\n");
	assert_int_equal(packet.n_fds, 2);
	assert_false(packet.has_credentials);
	assert_int_equal(packet.pidfd, -1);
	for (size_t i = 0; i < 2; i++) {
		assert_same_file(packet.fds[i], pipe_fds[i]);
		assert_int_equal(fcntl(packet.fds[i], F_GETFD), FD_CLOEXEC);
	}
	taken = TAKE_FD(packet.fds[0]);
	packet_deinit(&packet);
	assert_empty(&packet);
	assert_return_code(fcntl(taken, F_GETFD), errno);
	closep(&taken);
	closep(&pipe_fds[0]);
	closep(&pipe_fds[1]);
	pair_free(&pair);
}

static void test_packet_carries_253_descriptors_and_not_254(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int fds[PACKET_FDS_MAX + 1];

	(void)state;
	enable(pair.receiver, SO_PASSCRED);
	(void)setsockopt(pair.receiver, SOL_SOCKET, SO_PASSPIDFD, &(int){1}, sizeof(int));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDIN_FILENO;
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, fds, PACKET_FDS_MAX), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.n_fds, PACKET_FDS_MAX);
	assert_true(packet.has_credentials);
	packet_deinit(&packet);

	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, fds, PACKET_FDS_MAX + 1), -E2BIG);
	assert_int_equal(send_raw(pair.sender, "A=1\n", 4, fds, PACKET_FDS_MAX + 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	pair_free(&pair);
}

static void test_packet_joins_two_control_messages(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int pipe_fds[2];

	(void)state;
	assert_return_code(pipe(pipe_fds), errno);
	assert_int_equal(send_raw(pair.sender, "A=1\n", 4, pipe_fds, 1, 1), 4);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.n_fds, 2);
	assert_same_file(packet.fds[0], pipe_fds[0]);
	assert_same_file(packet.fds[1], pipe_fds[1]);
	packet_deinit(&packet);
	closep(&pipe_fds[0]);
	closep(&pipe_fds[1]);
	pair_free(&pair);
}

static void test_packet_has_credentials_and_pidfd(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	bool has_pidfd;

	(void)state;
	enable(pair.receiver, SO_PASSCRED);
	has_pidfd = setsockopt(pair.receiver, SOL_SOCKET, SO_PASSPIDFD, &(int){1}, sizeof(int)) == 0;
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, NULL, 0), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_true(packet.has_credentials);
	assert_int_equal(packet.credentials.pid, getpid());
	assert_int_equal(packet.credentials.uid, getuid());
	assert_int_equal(packet.credentials.gid, getgid());
	if (has_pidfd) {
		assert_return_code(fcntl(packet.pidfd, F_GETFD), errno);
		assert_int_equal(fcntl(packet.pidfd, F_GETFD), FD_CLOEXEC);
	} else {
		assert_int_equal(packet.pidfd, -1);
	}
	packet_deinit(&packet);
	pair_free(&pair);
}

static void test_packet_of_zero_bytes_is_not_the_end(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct message message;
	struct refusal refusal;

	(void)state;
	assert_int_equal(send_raw(pair.sender, "", 0, (int[]){STDIN_FILENO, STDIN_FILENO}, 2, 0), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.size, 0);
	assert_int_equal(packet.n_fds, 2);
	assert_int_equal(message_parse(&message, packet.text, packet.size, &refusal), REFUSED);
	packet_deinit(&packet);

	enable(pair.receiver, SO_PASSCRED);
	assert_int_equal(send_raw(pair.sender, "", 0, NULL, 0, 0), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.size, 0);
	assert_true(packet.has_credentials);
	packet_deinit(&packet);
	pair_free(&pair);
}

static void test_packet_over_datagrams(void **state)
{
	struct pair pair = pair_new(SOCK_DGRAM);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;

	(void)state;
	enable(pair.receiver, SO_PASSCRED);
	assert_int_equal(packet_send(pair.sender, "A=1", 3, (int[]){STDIN_FILENO}, 1), 0);
	assert_int_equal(send_raw(pair.sender, "", 0, NULL, 0, 0), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_string_equal(packet.text, "A=1");
	assert_int_equal(packet.n_fds, 1);
	packet_deinit(&packet);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.size, 0);
	packet_deinit(&packet);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_AGAIN);
	pair_free(&pair);
}

/* ---- packets that are refused ---- */

static void test_packet_of_4096_bytes_and_not_more(void **state)
{
	static const size_t sizes[] = {PACKET_TEXT_MAX + 1, 65536};
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	static char text[65536];

	(void)state;
	memset(text, 'A', sizeof(text));
	assert_int_equal(packet_send(pair.sender, text, PACKET_TEXT_MAX, NULL, 0), 0);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_int_equal(packet.size, PACKET_TEXT_MAX);
	assert_int_equal(strlen(packet.text), PACKET_TEXT_MAX);
	packet_deinit(&packet);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char expected[64];

		assert_int_equal(packet_send(pair.sender, text, sizes[i], NULL, 0), -EMSGSIZE);
		assert_int_equal(
			send_raw(pair.sender, text, sizes[i], (int[]){STDIN_FILENO}, 1, 0), sizes[i]);
		assert_int_equal(packet_send(pair.sender, "A=1\n", 4, NULL, 0), 0);
		assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_REFUSED);
		assert_int_equal(packet.size, 0);
		packet_deinit(&packet);
		assert_empty(&packet);
		assert_int_equal(refusal.error, EMSGSIZE);
		(void)snprintf(expected, sizeof(expected), "has %zu bytes of text, at most 4096", sizes[i]);
		assert_non_null(strstr(refusal.text, expected));
		/* It is gone, and the next one is complete. */
		assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
		assert_int_equal(packet.size, 4);
		packet_deinit(&packet);
	}
	pair_free(&pair);
}

/* Let this process open @n more descriptors: the limit is the number that the one after them would get. */
static struct rlimit limit_fds(rlim_t n)
{
	struct rlimit before, limit;
	int fd = -1;

	for (rlim_t n_free = 0; n_free <= n; n_free += fcntl(fd, F_GETFD) < 0)
		fd++;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	limit = before;
	limit.rlim_cur = (rlim_t)fd;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	return before;
}

static void test_packet_with_descriptors_cut_off(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int fds[10] = {0};

	(void)state;
	for (rlim_t room = 0; room < ARRAY_SIZE(fds); room += 3) {
		struct rlimit before;
		size_t n_open = descriptors_count();
		char expected[32];
		int r;

		assert_int_equal(packet_send(pair.sender, "A=1\n", 4, fds, ARRAY_SIZE(fds)), 0);
		before = limit_fds(room);
		r = packet_receive(pair.receiver, &packet, &refusal);
		assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
		assert_int_equal(r, PACKET_REFUSED);
		assert_int_equal(refusal.error, EMFILE);
		(void)snprintf(expected, sizeof(expected), "cut off, %zu arrived", (size_t)room);
		assert_non_null(strstr(refusal.text, expected));
		assert_non_null(strstr(refusal.text, "RLIMIT_NOFILE"));
		assert_non_null(strstr(refusal.text, "SELinux"));
		assert_int_equal(packet.size, 0);
		packet_deinit(&packet);
		assert_empty(&packet);
		assert_int_equal(descriptors_count(), n_open);
	}
	pair_free(&pair);
}

/* The sender of the next packet can be seen, and the packet discarded, without receiving its descriptors. */
static void test_peek_and_skip(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	bool has_fds;
	size_t n_open;
	int on = 1;

	(void)state;
	assert_return_code(setsockopt(pair.receiver, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), errno);
	assert_return_code(fcntl(pair.receiver, F_SETFL, O_NONBLOCK), errno);
	assert_int_equal(packet_peek(pair.receiver, &packet, &has_fds, &refusal), PACKET_AGAIN);
	n_open = descriptors_count();
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, &pair.sender, 1), 0);
	assert_int_equal(packet_send(pair.sender, "B=2\n", 4, NULL, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(packet_peek(pair.receiver, &packet, &has_fds, &refusal), 0);
		assert_true(has_fds);
		assert_string_equal(packet.text, "A=1\n");
		assert_true(packet.has_credentials);
		assert_int_equal(packet.credentials.uid, getuid());
		assert_int_equal(packet.credentials.pid, getpid());
		assert_int_equal(packet.n_fds, 0);
		assert_int_equal(descriptors_count(), n_open);
	}
	assert_true(packet_skip(pair.receiver));
	assert_int_equal(descriptors_count(), n_open);
	assert_int_equal(packet_peek(pair.receiver, &packet, &has_fds, &refusal), 0);
	assert_false(has_fds);
	packet_deinit(&packet);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	assert_string_equal(packet.text, "B=2\n");
	packet_deinit(&packet);
	assert_int_equal(descriptors_count(), n_open);
	pair_free(&pair);
}

/* Without room for a pidfd, the kernel puts an errno in its place. The packet is valid without it. */
static void test_packet_without_room_for_a_pidfd(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct rlimit before;
	struct refusal refusal;
	int r;

	(void)state;
	enable(pair.receiver, SO_PASSCRED);
	if (setsockopt(pair.receiver, SOL_SOCKET, SO_PASSPIDFD, &(int){1}, sizeof(int)) < 0) {
		pair_free(&pair);
		skip();
	}
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, NULL, 0), 0);
	before = limit_fds(0);
	r = packet_receive(pair.receiver, &packet, &refusal);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
	assert_int_equal(r, 0);
	assert_int_equal(packet.pidfd, -1);
	assert_true(packet.has_credentials);
	packet_deinit(&packet);
	pair_free(&pair);
}

/* ---- no packet ---- */

static void test_receive_nothing(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;

	(void)state;
	enable(pair.receiver, SO_PASSCRED);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_AGAIN);
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, NULL, 0), 0);
	closep(&pair.sender);
	pair.sender = -1;
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), 0);
	packet_deinit(&packet);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_END);
	assert_empty(&packet);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_END);
	pair_free(&pair);
}

static void test_receive_fails(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(packet_receive(-1, &packet, &refusal), -EBADF);
	assert_return_code(pipe(pipe_fds), errno);
	assert_int_equal(packet_receive(pipe_fds[0], &packet, &refusal), -ENOTSOCK);
	closep(&pipe_fds[0]);
	closep(&pipe_fds[1]);

	/* The other end closes with our packet unread. */
	assert_int_equal(packet_send(pair.receiver, "A=1\n", 4, NULL, 0), 0);
	closep(&pair.sender);
	pair.sender = -1;
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), -ECONNRESET);
	assert_empty(&packet);
	pair_free(&pair);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_receive_interrupted(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	struct sigaction before, action = {.sa_handler = on_alarm};
	/* Repeatedly: the first may come before recvmsg(2) waits. */
	struct itimerval timer = {.it_interval.tv_usec = 5000, .it_value.tv_usec = 5000};

	(void)state;
	assert_return_code(fcntl(pair.receiver, F_SETFL, 0), errno);
	assert_return_code(sigaction(SIGALRM, &action, &before), errno);
	assert_return_code(setitimer(ITIMER_REAL, &timer, NULL), errno);
	assert_int_equal(packet_receive(pair.receiver, &packet, &refusal), PACKET_AGAIN);
	assert_return_code(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), errno);
	assert_return_code(sigaction(SIGALRM, &before, NULL), errno);
	pair_free(&pair);
}

static void test_send_fails(void **state)
{
	struct pair pair = pair_new(SOCK_SEQPACKET);
	int closed = dup(STDIN_FILENO), r;

	(void)state;
	assert_return_code(closed, errno);
	assert_return_code(close(closed), errno);
	assert_int_equal(packet_send(pair.sender, "", 0, NULL, 0), -EINVAL);
	assert_int_equal(packet_send(pair.sender, "A=1\n", 4, &closed, 1), -EBADF);
	assert_int_equal(packet_send(-1, "A=1\n", 4, NULL, 0), -EBADF);
	do {
		r = packet_send(pair.sender, "A=1\n", 4, NULL, 0);
	} while (r == 0);
	assert_int_equal(r, -EAGAIN);
	/* SIGPIPE would end the test. */
	closep(&pair.receiver);
	pair.receiver = -1;
	r = packet_send(pair.sender, "A=1\n", 4, NULL, 0);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	pair_free(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet_carries_text_and_descriptors),
		cmocka_unit_test(test_packet_carries_253_descriptors_and_not_254),
		cmocka_unit_test(test_packet_joins_two_control_messages),
		cmocka_unit_test(test_packet_has_credentials_and_pidfd),
		cmocka_unit_test(test_packet_of_zero_bytes_is_not_the_end),
		cmocka_unit_test(test_packet_over_datagrams),
		cmocka_unit_test(test_packet_of_4096_bytes_and_not_more),
		cmocka_unit_test(test_packet_with_descriptors_cut_off),
		cmocka_unit_test(test_peek_and_skip),
		cmocka_unit_test(test_packet_without_room_for_a_pidfd),
		cmocka_unit_test(test_receive_nothing),
		cmocka_unit_test(test_receive_fails),
		cmocka_unit_test(test_receive_interrupted),
		cmocka_unit_test(test_send_fails),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}

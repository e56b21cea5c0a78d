/* SPDX-License-Identifier: BSD-3-Clause */

/* Sessions: good clients, and clients that do not read, vanish or send nonsense; their descriptors and their time */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "descriptors.h"
#include "served.h"
#include "util/macro.h"
#include "wire/message.h"

static void expect_row(int client, unsigned number)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "ROW=1\nNUMBER=%u\n", number);
	client_expect(client, text);
}

/* ---- requests and answers */

static void test_request(void **state)
{
	_cleanup_close_ int client = client_open(), other = client_open();

	(void)state;
	client_send(client, "REQUEST=echo\nTEXT=hello\n");
	client_expect(client, "OK=1\nTEXT=hello\n");
	client_send(client, "REQUEST=refuse\nTEXT=no, and why\n");
	client_expect(client, "ERRNO=13\nREASON=no, and why\n");
	/* a refusal does not end the session; another one has its own */
	client_send(other, "REQUEST=echo\nTEXT=other");
	client_send(client, "REQUEST=echo\nTEXT=again\n");
	client_expect(client, "OK=1\nTEXT=again\n");
	client_expect(other, "OK=1\nTEXT=other\n");
	assert_int_equal(served.n_requests, 4);
	(void)served_run();
	assert_true(session_has_answered(served.session));
}

static void test_many_requests_at_once(void **state)
{
	_cleanup_close_ int client = client_open();
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), i % 5 ? "REQUEST=echo\nTEXT=%u\n" : "REQUEST=rows\nN=%u\n",
			i % 5 ? i : 2);
		client_send(client, text);
	}
	for (unsigned i = 0; i < 50; i++) {
		if (i % 5 == 0) {
			expect_row(client, 0);
			expect_row(client, 1);
			client_expect(client, "OK=1\n");
			continue;
		}
		(void)snprintf(text, sizeof(text), "OK=1\nTEXT=%u\n", i);
		client_expect(client, text);
	}
	assert_int_equal(served.n_released, 10);
}

static void test_rows(void **state)
{
	_cleanup_close_ int client = client_open();
	struct packet packet = PACKET_NULL;
	size_t n;

	(void)state;
	client_send(client, "REQUEST=rows\nN=0\n");
	client_expect(client, "OK=1\n");
	assert_int_equal(served.n_released, 1);
	client_send(client, "REQUEST=rows\nN=3\nFD=1\n");
	(void)served_run();
	n = descriptors_count();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(client_receive(client, &packet), 0);
		assert_int_equal(packet.n_fds, 1);
		packet_deinit(&packet);
	}
	client_expect(client, "OK=1\n"); /* without the descriptor of the previous row */
	served_wait_descriptors(n);
	assert_return_code(fcntl(STDERR_FILENO, F_GETFD), errno);
	assert_int_equal(served.n_released, 2);
}

/* ---- clients that do not read */

static void test_back_pressure(void **state)
{
	_cleanup_close_ int client = client_open();
	struct mallinfo2 before, after;
	unsigned n_rows;

	(void)state;
	client_send(client, "REQUEST=echo\nTEXT=x\n");
	client_expect(client, "OK=1\nTEXT=x\n");
	before = mallinfo2();
	client_send(client, "REQUEST=rows\nN=10000\n");
	(void)served_run();
	n_rows = served.n_rows;
	assert_in_range(n_rows, 2, 9999);
	assert_false(session_has_answered(served.session));
	/* without room there is nothing to do: no rows, and no spinning loop */
	assert_int_equal(served_run(), 0);
	assert_int_equal(served.n_rows, n_rows);
	after = mallinfo2();
	assert_in_range(after.uordblks, 0, before.uordblks + 8192);

	for (unsigned i = 0; i < 10000; i++) {
		expect_row(client, i);
		assert_true(served.n_rows <= i + n_rows + 1);
	}
	client_expect(client, "OK=1\n");
	assert_int_equal(served.n_released, 1);
	assert_int_equal(served.n_rows, 10000);
	client_send(client, "REQUEST=echo\nTEXT=x\n");
	client_expect(client, "OK=1\nTEXT=x\n");
}

/* Its further requests wait, but not those of others. */
static void test_one_at_a_time(void **state)
{
	_cleanup_close_ int client = client_open(), other = client_open();

	(void)state;
	client_send(client, "REQUEST=rows\nN=2000\n");
	client_send(client, "REQUEST=echo\nTEXT=next\n");
	(void)served_run();
	assert_int_equal(served.n_requests, 1);
	assert_int_equal(served_run(), 0);
	client_send(other, "REQUEST=echo\nTEXT=other\n");
	client_expect(other, "OK=1\nTEXT=other\n");
	for (unsigned i = 0; i < 2000; i++) {
		expect_row(client, i);
	}
	client_expect(client, "OK=1\n");
	client_expect(client, "OK=1\nTEXT=next\n");
}

/* A client that keeps asking and never reads */
static void test_answers_unread(void **state)
{
	_cleanup_close_ int client = client_open();
	unsigned n_sent = 0;
	int r = 0;

	(void)state;
	for (unsigned i = 0; i < 100000 && r != -EAGAIN; i++) {
		r = packet_send(client, "REQUEST=echo\nTEXT=x\n", 20, NULL, 0);
		assert_true(r == 0 || r == -EAGAIN);
		n_sent += r == 0;
		(void)served_run();
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(served.n_requests < n_sent);
	assert_int_equal(served_run(), 0);
	for (unsigned i = 0; i < n_sent; i++)
		client_expect(client, "OK=1\nTEXT=x\n");
	assert_int_equal(served.n_requests, n_sent);
}

/* ---- clients that vanish */

static void test_vanishes(void **state)
{
	static const char *const requests[] = {
		"REQUEST=echo\n", "REQUEST=rows\nN=10\n", "REQUEST=who\n", "nonsense", NULL};

	(void)state;
	for (size_t i = 0; i == 0 || requests[i - 1]; i++) {
		int client = client_open();

		if (requests[i])
			client_send_fds(client, requests[i], (int[]){0, 1}, 2);
		assert_return_code(close(client), errno);
		(void)served_run();
		served_wait_descriptors(served.n_idle);
	}
	assert_int_equal(served.n_released, 1);
}

static void test_vanishes_while_rows_wait(void **state)
{
	int client = client_open();

	(void)state;
	client_send(client, "REQUEST=rows\nN=10000\n");
	(void)served_run();
	assert_int_equal(served.n_released, 0);
	assert_return_code(close(client), errno);
	(void)served_run();
	assert_int_equal(served.n_released, 1);
	assert_int_equal(descriptors_count(), served.n_idle);
}

static void test_half_closed(void **state)
{
	int client = client_open();

	(void)state;
	/* its last request is answered */
	client_send(client, "REQUEST=rows\nN=2\n");
	assert_return_code(shutdown(client, SHUT_WR), errno);
	expect_row(client, 0);
	expect_row(client, 1);
	client_expect(client, "OK=1\n");
	client_expect_end(client);
	assert_return_code(close(client), errno);
	/* there is no client to answer */
	client = client_open();
	client_send(client, "REQUEST=echo\n");
	assert_return_code(shutdown(client, SHUT_RDWR), errno);
	(void)served_run();
	assert_return_code(close(client), errno);
	assert_int_equal(descriptors_count(), served.n_idle);
}

/* ---- nonsense */

static const char many_lines[] =
	"A=\nB=\nC=\nD=\nE=\nF=\nG=\nH=\nI=\nJ=\nK=\nL=\nM=\nN=\nO=\nP=\n"
	"A1=\nB1=\nC1=\nD1=\nE1=\nF1=\nG1=\nH1=\nI1=\nJ1=\nK1=\nL1=\nM1=\nN1=\nO1=\nP1=\n"
	"A2=\nB2=\nC2=\nD2=\nE2=\nF2=\nG2=\nH2=\nI2=\nJ2=\nK2=\nL2=\nM2=\nN2=\nO2=\nP2=\n"
	"A3=\nB3=\nC3=\nD3=\nE3=\nF3=\nG3=\nH3=\nI3=\nJ3=\nK3=\nL3=\nM3=\nN3=\nO3=\nP3=\nQ=\n";

static void test_malformed(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *reason;
	} cases[] = {
		{"garbage", 7, "'garbage', has no '='"},
		{"GET / HTTP/1.1\r\n\r\n", 18, "control character"},
		{"REQUEST=echo\nTEXT=\xff\n", 20, "invalid UTF-8"},
		{"REQUEST=echo\0TEXT=x\n", 20, "NUL byte at offset 12"},
		{"REQUEST=echo\nREQUEST=echo\n", 26, "REQUEST appears twice"},
		{"request=echo\n", 13, "'request' is not a key"},
		{"\n", 1, "has no '='"},
		{many_lines, sizeof(many_lines) - 1, "more than 64 lines"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int client = client_open();

		assert_int_equal(packet_send(client, cases[i].text, cases[i].size, (int[]){0, 1, 2}, 3), 0);
		client_expect_refusal(client, EBADMSG, cases[i].reason);
		client_expect_end(client);
		served_wait_descriptors(served.n_idle + 1);
		assert_return_code(close(client), errno);
	}
	assert_int_equal(served.n_requests, 0);
}

static void test_too_long(void **state)
{
	static const size_t sizes[] = {PACKET_TEXT_MAX + 1, 65536};
	static char text[65536];
	_cleanup_close_ int client = client_open();
	char expected[PACKET_TEXT_MAX + 32];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "REQUEST=echo\nTEXT=", 18);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		int bad = client_open(), fd = STDIN_FILENO;
		char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
		struct iovec iov = {.iov_base = text, .iov_len = sizes[i]};
		struct msghdr header = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};

		*CMSG_FIRSTHDR(&header) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &fd, sizeof(fd));
		assert_int_equal(sendmsg(bad, &header, 0), (ssize_t)sizes[i]);
		client_expect_refusal(bad, EMSGSIZE, "at most 4096 are allowed");
		client_expect_end(bad);
		assert_return_code(close(bad), errno);
	}
	/* as long as possible */
	assert_int_equal(packet_send(client, text, PACKET_TEXT_MAX - 5, NULL, 0), 0);
	(void)snprintf(
		expected, sizeof(expected), "OK=1\nTEXT=%.*s\n", (int)(PACKET_TEXT_MAX - 5 - 18), text + 18);
	client_expect(client, expected);
	assert_int_equal(served.n_requests, 1);
}

/* To a plain read(2) it is end-of-file. */
static void test_zero_length(void **state)
{
	(void)state;
	for (int with_fds = 0; with_fds < 2; with_fds++) {
		int client = client_open(), fds[2] = {0, 1};
		char control[CMSG_SPACE(sizeof(fds))] __attribute__((aligned(8))) = {0};
		struct msghdr header = {.msg_control = with_fds ? control : NULL,
			.msg_controllen = with_fds ? sizeof(control) : 0};

		if (with_fds) {
			*CMSG_FIRSTHDR(&header) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fds)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS};
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), fds, sizeof(fds));
		}
		assert_int_equal(sendmsg(client, &header, 0), 0);
		client_expect_refusal(client, EBADMSG, "the message is empty");
		client_expect_end(client);
		served_wait_descriptors(served.n_idle + 1);
		assert_return_code(close(client), errno);
	}
	assert_int_equal(served.n_requests, 0);
}

/* ---- descriptors */

static void test_descriptors(void **state)
{
	_cleanup_close_ int client = client_open();
	int fds[PACKET_FDS_MAX];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDERR_FILENO;
	(void)served_run();
	n = descriptors_count();
	/* descriptors that the handler does not take are closed */
	client_send_fds(client, "REQUEST=echo\n", fds, ARRAY_SIZE(fds));
	client_expect(client, "OK=1\n");
	assert_int_equal(served.n_fds, ARRAY_SIZE(fds));
	served_wait_descriptors(n);
	client_send_fds(client, "REQUEST=refuse\nTEXT=no\n", fds, 5);
	client_expect(client, "ERRNO=13\nREASON=no\n");
	served_wait_descriptors(n);
	/* what it takes is its own, and stays where it is */
	client_send_fds(client, "REQUEST=keep\n", fds, 5);
	client_expect(client, "OK=1\n");
	assert_int_equal(served.kept->n, 5);
	assert_true(parcel_is_open(served.kept));
	served_wait_descriptors(n);
	/* what nobody wants is never received */
	client_send_fds(client, "REQUEST=unseen\n", fds, 5);
	client_expect_refusal(client, EINVAL, "nobody wants them");
	served_wait_descriptors(n);
}

static void test_no_descriptor_left(void **state)
{
	_cleanup_close_ int client = client_open(), other = client_open();
	struct rlimit limit;

	(void)state;
	client_send(client, "REQUEST=echo\n");
	client_expect(client, "OK=1\n");
	client_send(other, "REQUEST=echo\n");
	client_expect(other, "OK=1\n");
	client_send_fds(client, "REQUEST=echo\n", (int[]){0, 1}, 2);
	client_send(other, "REQUEST=who\n");
	limit = descriptors_forbid();
	client_expect_refusal(client, EMFILE, "RLIMIT_NOFILE");
	client_expect_end(client);
	/* a client that sends none is served: only its pid cannot be verified */
	{
		struct packet packet = PACKET_NULL;

		assert_int_equal(client_receive(other, &packet), 0);
		assert_non_null(strstr(packet.text, "OK=1\n"));
		assert_non_null(strstr(packet.text, "UNIT=\nVERIFIED=no\n"));
		packet_deinit(&packet);
	}
	descriptors_allow(&limit);
	/* the worker whose report was cut off has ended; there is another one */
	client_send_fds(other, "REQUEST=echo\n", (int[]){0, 1}, 2);
	client_expect(other, "OK=1\n");
	served_wait_descriptors(served.n_idle + 2 + 1);
}

/* ---- clients that do nothing */

static void test_idle(void **state)
{
	_cleanup_close_ int silent = -1, slow = -1;
	unsigned n_set, n_rows, n_read;

	(void)state;
	/* each packet in or out starts the time again */
	served.idle_usec = 0;
	slow = client_open();
	(void)served_run();
	assert_int_equal(served.n_idle_set, 1);
	client_send(slow, "REQUEST=echo\n");
	client_expect(slow, "OK=1\n");
	assert_int_equal(served.n_idle_set, 3);
	client_send(slow, "REQUEST=rows\nN=10000\n");
	(void)served_run();
	n_set = served.n_idle_set;
	n_rows = served.n_rows;
	assert_int_equal(n_set, 3 + 1 + (n_rows - 1)); /* the last one waits */
	(void)served_run();
	assert_int_equal(served.n_idle_set, n_set);

	/* when it has passed, clients that send nothing or stop reading are closed */
	served.idle_usec = 50000;
	silent = client_open();
	(void)served_run();
	for (n_read = 0; served.n_idle_set == n_set + 1; n_read++)
		expect_row(slow, n_read);
	client_expect_end(silent);
	served_wait_descriptors(served.n_idle + 2);
	assert_int_equal(served.n_released, 1);
	for (n_rows = served.n_rows; n_read < n_rows - 1; n_read++)
		expect_row(slow, n_read);
	client_expect_end(slow);
}

/* ---- the end */

static void test_door_closes(void **state)
{
	_cleanup_close_ int idle = client_open(), rows = client_open(), waiting = client_open(), late = -1;

	(void)state;
	client_send(rows, "REQUEST=rows\nN=10000\n");
	(void)served_run();
	client_send_fds(waiting, "REQUEST=keep\n", (int[]){0, 1}, 2); /* never received */
	late = client_open();					      /* never accepted */
	served.door = door_free(served.door);
	assert_int_equal(served.n_released, 1);
	assert_int_equal(served.n_requests, 1);
	client_expect_end(idle);
	assert_null(door_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_many_requests_at_once, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_rows, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_back_pressure, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_answers_unread, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_vanishes, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(
			test_vanishes_while_rows_wait, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_half_closed, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_malformed, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_too_long, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_zero_length, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_descriptors, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_no_descriptor_left, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_idle, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_door_closes, served_set_up, served_tear_down),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

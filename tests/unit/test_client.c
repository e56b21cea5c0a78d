/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The client's end of the protocol, step by step: between the steps of the client, the test itself is the broker, so
 * every run has the same order of events.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/client.h"
#include "util/macro.h"

static char dir[] = "/tmp/usher-test-client-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/usher.sock", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(address.sun_path);
	return rmdir(dir);
}

static int broker_listen(int backlog)
{
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_return_code(listener, errno);
	(void)unlink(address.sun_path);
	assert_return_code(bind(listener, (const struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(listener, backlog), errno);
	return listener;
}

static void broker_answer(int connection, const char *text)
{
	assert_int_equal(packet_send(connection, text, strlen(text), NULL, 0), 0);
}

/* Open the client and accept it. */
static int connect_both(struct client *client, int listener)
{
	struct refusal refusal;
	int connection;

	assert_int_equal(client_open(client, address.sun_path, 0, &refusal), 0);
	connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_return_code(connection, errno);
	return connection;
}

static void test_rows_and_two_requests(void **state)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_close_ int listener = broker_listen(1), connection = connect_both(&client, listener);
	struct packet packet = PACKET_NULL;
	struct writer request;
	struct refusal refusal;
	uint64_t deadline = client.deadline;

	(void)state;
	client_begin(&request, REQUEST_LIST);
	writer_put(&request, KEY_NAME, "%s", "web");
	assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
	assert_int_equal(packet_receive(connection, &packet, &refusal), 0);
	assert_string_equal(packet.text, "REQUEST=list\nVERSION=1\nNAME=web\n");
	packet_deinit(&packet);
	broker_answer(connection, "ROW=1\nPLACE=1\n");
	broker_answer(connection, "ROW=1\nPLACE=2\n");
	broker_answer(connection, "OK=1\nSOCKETS=2\nNEW_KEY=later\n");
	assert_int_equal(client_next(&client, &refusal), CLIENT_ROW);
	assert_string_equal(message_get(&client.message, KEY_PLACE), "1");
	assert_int_equal(client_next(&client, &refusal), CLIENT_ROW);
	assert_string_equal(message_get(&client.message, KEY_PLACE), "2");
	assert_int_equal(client_next(&client, &refusal), 0);
	assert_string_equal(message_get(&client.message, KEY_SOCKETS), "2");

	client_renew(&client);
	assert_true(client.deadline > deadline);
	client_begin(&request, REQUEST_RELOAD);
	assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
	assert_int_equal(client.message.n_fields, 0);
	broker_answer(connection, "ROW=1\nFILE=a.rule\nLINE=3\nPROBLEM=bad\n");
	broker_answer(connection, "ERRNO=74\nREASON=a.rule:3: bad\n");
	assert_int_equal(client_next(&client, &refusal), CLIENT_ROW);
	assert_int_equal(client_next(&client, &refusal), CLIENT_REFUSED);
	assert_int_equal(refusal.error, EBADMSG);
	assert_string_equal(refusal.text, "a.rule:3: bad");
	assert_true(client.socket >= 0);
	assert_string_equal(message_get(&client.message, KEY_ERRNO), "74");
}

/* The broker refuses a connection before it has read a request, which comes before or after that. */
static void test_refused_before_the_request_was_read(void **state)
{
	(void)state;
	for (int send_first = 0; send_first < 2; send_first++) {
		_cleanup_(client_close) struct client client = CLIENT_NULL;
		_cleanup_close_ int listener = broker_listen(1);
		struct writer request;
		struct refusal refusal;
		int connection = connect_both(&client, listener);

		client_begin(&request, REQUEST_STATUS);
		if (send_first)
			assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
		broker_answer(
			connection, "ERRNO=24\nREASON=user 1000 has 64 connections, which is the most\n");
		closep(&connection);
		if (!send_first)
			assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, EMFILE);
		assert_string_equal(refusal.text, "user 1000 has 64 connections, which is the most");
		/* The broker is gone, so this client is finished. */
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, ECONNRESET);
		assert_int_equal(client.socket, -1);
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, ENOTCONN);
		assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), REFUSED);
		assert_int_equal(refusal.error, ENOTCONN);
	}
}

static void test_closed_without_an_answer(void **state)
{
	(void)state;
	for (int send_first = 0; send_first < 2; send_first++) {
		_cleanup_(client_close) struct client client = CLIENT_NULL;
		_cleanup_close_ int listener = broker_listen(1);
		struct writer request;
		struct refusal refusal;
		int connection = connect_both(&client, listener);

		client_begin(&request, REQUEST_STATUS);
		if (send_first)
			assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
		closep(&connection);
		if (!send_first)
			assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), 0);
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, ECONNRESET);
		assert_non_null(strstr(refusal.text, address.sun_path));
		assert_non_null(strstr(refusal.text, "ECONNRESET"));
	}
}

static void test_answers_that_are_none(void **state)
{
	static const struct {
		const char *text, *reason;
		size_t size; /* 0 for strlen */
	} cases[] = {
		{"garbage", "has no '='"},
		{"OK=1\n\0", "NUL byte", 6},
		{"FOO=1\n", "exactly one of ROW, OK and ERRNO"},
		{"OK=1\nERRNO=5\n", "exactly one"},
		{"ROW=1\nOK=1\n", "exactly one"},
		{"ERRNO=\n", "ERRNO is not"},
		{"ERRNO=0\n", "ERRNO is not"},
		{"ERRNO=-5\n", "ERRNO is not"},
		{"ERRNO=4096\n", "ERRNO is not"},
		{"ERRNO=18446744073709551621\n", "ERRNO is not"},
		{"ERRNO=EPERM\n", "ERRNO is not"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(client_close) struct client client = CLIENT_NULL;
		_cleanup_close_ int listener = broker_listen(1), connection = connect_both(&client, listener);
		size_t size = cases[i].size ? cases[i].size : strlen(cases[i].text);
		struct refusal refusal;

		assert_int_equal(packet_send(connection, cases[i].text, size, NULL, 0), 0);
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, EPROTO);
		if (!strstr(refusal.text, cases[i].reason))
			fail_msg("case %zu: '%s' does not say '%s'", i, refusal.text, cases[i].reason);
		/* What comes after that could be the answer to anything. */
		assert_int_equal(client.socket, -1);
	}
}

static void test_answer_too_long(void **state)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_close_ int listener = broker_listen(1), connection = connect_both(&client, listener);
	static char text[PACKET_TEXT_MAX + 1];
	struct refusal refusal;

	(void)state;
	assert_int_equal(send(connection, text, sizeof(text), MSG_NOSIGNAL), sizeof(text));
	assert_int_equal(client_next(&client, &refusal), REFUSED);
	assert_int_equal(refusal.error, EPROTO);
	assert_non_null(strstr(refusal.text, "has 4097 bytes of text"));
}

static void test_refusal_without_reason(void **state)
{
	static const char *const answers[] = {"ERRNO=13\n", "ERRNO=13\nREASON=\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		_cleanup_(client_close) struct client client = CLIENT_NULL;
		_cleanup_close_ int listener = broker_listen(1), connection = connect_both(&client, listener);
		struct refusal refusal;

		broker_answer(connection, answers[i]);
		assert_int_equal(client_next(&client, &refusal), REFUSED);
		assert_int_equal(refusal.error, EACCES);
		assert_string_equal(refusal.text, "Permission denied");
	}
}

static void test_requests_that_cannot_be_sent(void **state)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_close_ int listener = broker_listen(1), connection = connect_both(&client, listener);
	int closed = dup(STDIN_FILENO), fds[PACKET_FDS_MAX + 1] = {0};
	struct writer request;
	struct refusal refusal;

	(void)state;
	assert_return_code(close(closed), errno);
	client_begin(&request, REQUEST_HAND_IN);
	assert_int_equal(client_request(&client, &request, &closed, 1, &refusal), REFUSED);
	assert_int_equal(refusal.error, EBADF);
	assert_int_equal(client_request(&client, &request, fds, ARRAY_SIZE(fds), &refusal), REFUSED);
	assert_int_equal(refusal.error, E2BIG);
	writer_put(&request, KEY_NAMES, "%5000d", 1);
	assert_int_equal(client_request(&client, &request, NULL, 0, &refusal), REFUSED);
	assert_int_equal(refusal.error, E2BIG);
	/* Nothing was sent, so the connection still works. */
	broker_answer(connection, "OK=1\n");
	assert_int_equal(client_next(&client, &refusal), 0);
}

static void test_queue_of_the_broker_is_full(void **state)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	_cleanup_close_ int listener = broker_listen(1), connection = -1;
	struct writer request;
	struct refusal refusal;
	int r;

	(void)state;
	assert_int_equal(client_open(&client, address.sun_path, 50, &refusal), 0);
	connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	client_begin(&request, REQUEST_STATUS);
	do {
		r = client_request(&client, &request, NULL, 0, &refusal);
	} while (r == 0);
	assert_int_equal(r, REFUSED);
	assert_int_equal(refusal.error, ETIMEDOUT);
	assert_non_null(strstr(refusal.text, "within 50 ms"));
	assert_int_equal(client.socket, -1);
}

static void test_backlog_is_full(void **state)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL, other = CLIENT_NULL;
	_cleanup_close_ int listener = broker_listen(0);
	struct refusal refusal;

	(void)state;
	assert_int_equal(client_open(&other, address.sun_path, 0, &refusal), 0);
	assert_int_equal(client_open(&client, address.sun_path, 50, &refusal), REFUSED);
	assert_int_equal(refusal.error, ETIMEDOUT);
	assert_int_equal(client.socket, -1);
	closep(&listener);
}

static void test_addresses(void **state)
{
	struct client client = CLIENT_NULL;
	char path[200], file[sizeof(address.sun_path)];
	struct refusal refusal;
	int listener, fd;

	(void)state;
	/* No file, and a file on which nothing listens */
	(void)unlink(address.sun_path);
	assert_int_equal(client_open(&client, address.sun_path, 0, &refusal), CLIENT_ABSENT);
	assert_int_equal(refusal.error, ENOENT);
	assert_non_null(strstr(refusal.text, address.sun_path));
	listener = broker_listen(1);
	closep(&listener);
	assert_int_equal(client_open(&client, address.sun_path, 0, &refusal), CLIENT_ABSENT);
	assert_int_equal(refusal.error, ECONNREFUSED);

	/* Another kind of socket; a file in the path */
	(void)unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(listener, (const struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_int_equal(client_open(&client, address.sun_path, 0, &refusal), REFUSED);
	assert_int_equal(refusal.error, EPROTOTYPE);
	closep(&listener);
	(void)snprintf(file, sizeof(file), "%s/f", dir);
	fd = creat(file, 0600);
	assert_return_code(fd, errno);
	closep(&fd);
	(void)snprintf(path, sizeof(path), "%s/usher.sock", file);
	assert_int_equal(client_open(&client, path, 0, &refusal), REFUSED);
	assert_int_equal(refusal.error, ENOTDIR);
	assert_return_code(unlink(file), errno);

	/* 107 characters, and 108 */
	memset(path, '/', sizeof(path));
	memcpy(path + 100, "no/such", 8);
	assert_int_equal(client_open(&client, path, 0, &refusal), CLIENT_ABSENT);
	memcpy(path + 100, "no/suchx", 9);
	assert_int_equal(client_open(&client, path, 0, &refusal), REFUSED);
	assert_int_equal(refusal.error, ENAMETOOLONG);
	assert_non_null(strstr(refusal.text, "has 108 characters"));

	assert_int_equal(client_open(&client, address.sun_path, -1, &refusal), REFUSED);
	assert_int_equal(refusal.error, EINVAL);
	assert_int_equal(client.socket, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_and_two_requests),
		cmocka_unit_test(test_refused_before_the_request_was_read),
		cmocka_unit_test(test_closed_without_an_answer),
		cmocka_unit_test(test_answers_that_are_none),
		cmocka_unit_test(test_answer_too_long),
		cmocka_unit_test(test_refusal_without_reason),
		cmocka_unit_test(test_requests_that_cannot_be_sent),
		cmocka_unit_test(test_queue_of_the_broker_is_full),
		cmocka_unit_test(test_backlog_is_full),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("client", tests, set_up, tear_down);
}

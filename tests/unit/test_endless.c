/* SPDX-License-Identifier: BSD-3-Clause */

/* Endless answers: rows at any time, and clients that wait, do not read, ask or leave */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "descriptors.h"
#include "served.h"
#include "util/macro.h"

static void expect_row(int client, unsigned number)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "ROW=1\nNUMBER=%u\n", number);
	client_expect(client, text);
}

static int tail_open(void)
{
	int client = client_open();

	client_send(client, "REQUEST=tail\n");
	(void)served_run();
	assert_int_equal(served.n_requests, 1);
	return client;
}

static void add_rows(unsigned n)
{
	served.n_ready += n;
	session_wake(served.session);
}

static void test_rows_as_they_come(void **state)
{
	_cleanup_close_ int client = -1;

	(void)state;
	served.n_ready = 2;
	client = tail_open();
	expect_row(client, 0);
	expect_row(client, 1);
	assert_int_equal(served_run(), 0);
	for (unsigned i = 2; i < 300; i += i % 7 + 1) {
		add_rows(i % 7 + 1);
		for (unsigned k = 0; k <= i % 7; k++)
			expect_row(client, i + k);
		assert_int_equal(served_run(), 0);
	}
	assert_int_equal(served.n_released, 0);
}

/* A needless wake-up does not make the loop spin: the session takes a turn, and has it. */
static void test_nothing_to_say(void **state)
{
	_cleanup_close_ int client = tail_open();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		session_wake(served.session);
		assert_in_range(served_run(), 0, 2);
		assert_int_equal(served_run(), 0);
	}
	add_rows(1);
	expect_row(client, 0);
}

static void test_unread(void **state)
{
	_cleanup_close_ int client = tail_open(), other = client_open();
	unsigned n_rows;

	(void)state;
	add_rows(10000);
	(void)served_run();
	n_rows = served.n_rows;
	assert_in_range(n_rows, 2, 9999);
	for (unsigned i = 0; i < 3; i++) {
		add_rows(1);
		assert_int_equal(served_run(), 0);
		assert_int_equal(served.n_rows, n_rows);
	}
	client_send(other, "REQUEST=echo\nTEXT=x\n");
	client_expect(other, "OK=1\nTEXT=x\n");
	for (unsigned i = 0; i < 10003; i++)
		expect_row(client, i);
	assert_int_equal(served_run(), 0);
}

/* A subscriber may be idle for any time, whether it reads or not. An ordinary client next to it is closed. */
static void test_is_not_idle(void **state)
{
	_cleanup_close_ int reads = -1, silent = -1;

	(void)state;
	served.idle_usec = 50000;
	reads = tail_open();
	silent = client_open();
	client_expect_end(silent);
	add_rows(10000);
	(void)served_run();
	assert_return_code(close(silent), errno);
	silent = client_open();
	client_expect_end(silent);
	for (unsigned i = 0; i < 10000; i++)
		expect_row(reads, i);
	assert_int_equal(served.n_released, 0);
}

static void test_asks(void **state)
{
	static const char *const packets[] = {"REQUEST=echo\n", "REQUEST=tail\n", "nonsense"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++)
		for (unsigned full = 0; full < 2; full++) {
			_cleanup_close_ int client = tail_open();
			unsigned n_sent;

			served.n_rows = 0;
			if (full)
				add_rows(10000);
			(void)served_run();
			n_sent = full ? served.n_rows - 1
				      : 0; /* the last one waits for room, and is given up */
			client_send_fds(client, packets[i], (int[]){0, 1}, 2);
			client_send(client, packets[i]);
			(void)served_run();
			assert_int_equal(served.n_released, 1);
			for (unsigned k = 0; k < n_sent; k++)
				expect_row(client, k);
			client_expect_refusal(client, EBUSY, "open another one");
			client_expect_end(client);
			served_wait_descriptors(served.n_idle + 1);
			served.n_requests = served.n_released = served.n_ready = 0;
		}
}

/* Then it reads nothing: the time starts again. */
static void test_asks_and_is_idle(void **state)
{
	_cleanup_close_ int client = tail_open();

	(void)state;
	add_rows(10000);
	(void)served_run();
	served.idle_usec = 50000;
	client_send(client, "REQUEST=echo\n");
	served_wait_descriptors(served.n_idle + 1);
}

static void test_leaves(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		_cleanup_close_ int client = tail_open();

		if (way & 1)
			add_rows(10000);
		(void)served_run();
		if (way & 2)
			assert_return_code(shutdown(client, SHUT_WR), errno);
		else
			closep(&client);
		(void)served_run();
		assert_int_equal(served.n_released, 1);
		client = way & 2 ? client : -1;
		assert_int_equal(descriptors_count(), served.n_idle + (way & 2 ? 1 : 0));
		served.n_requests = served.n_released = served.n_ready = 0;
	}
}

/* The last messages are sent when the door closes, without waiting for clients that do not read. */
static void test_last_words(void **state)
{
	_cleanup_close_ int full = tail_open(), reads = -1;

	(void)state;
	add_rows(10000);
	(void)served_run();
	served.n_requests = 0;
	served.n_ready = 0;
	reads = tail_open();
	add_rows(3);
	served.door = door_free(served.door);
	assert_int_equal(served.n_released, 2);
	for (unsigned i = 0; i < 3; i++)
		expect_row(reads, i);
	client_expect_end(reads);
	expect_row(full, 0);
}

static void test_does_not_keep_the_door_open(void **state)
{
	int waits = tail_open(), full, code;

	(void)state;
	served.n_requests = 0;
	full = tail_open();
	add_rows(10000);
	(void)served_run();
	assert_int_equal(door_finish(served.door), 0);
	assert_true(sd_event_loop(served.event) >= 0);
	assert_true(sd_event_get_exit_code(served.event, &code) >= 0);
	assert_int_equal(code, 0);
	assert_return_code(close(waits), errno);
	assert_return_code(close(full), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_as_they_come, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_to_say, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_unread, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_is_not_idle, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_asks, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_asks_and_is_idle, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_leaves, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_last_words, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(
			test_does_not_keep_the_door_open, served_set_up, served_tear_down),
	};

	return cmocka_run_group_tests_name("endless", tests, NULL, NULL);
}

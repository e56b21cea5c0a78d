/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libusher against a fake broker, which does what the real one does not do on demand: silence, nonsense, a connection
 * closed halfway. Every test counts the open descriptors of the process.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "fake_broker.h"
#include "lib/usher.h"
#include "util/macro.h"

static void assert_reason(const char *part)
{
	if (!strstr(usher_reason(), part))
		fail_msg("'%s' does not say '%s'", usher_reason(), part);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &t), errno);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what is asked ---- */

static int call_hand_in(void)
{
	return usher_hand_in("web", (int[]){0, 0}, 2, 0, 0);
}

static int call_hold(void)
{
	return usher_hold("web", (int[]){0}, 1, USHER_STRICT, 1000);
}

static int call_hand_in_and_hold(void)
{
	return usher_hand_in("web", (int[]){0}, 1, USHER_HOLD, 1000);
}

static int call_withdraw_all(void)
{
	return usher_withdraw("web", NULL, 0, 0, 0);
}

static int call_withdraw_one(void)
{
	return usher_withdraw("web", (int[]){0}, 1, 0, 0);
}

static void test_requests(void **state)
{
	static const struct {
		int (*call)(void);
		const char *request;
		size_t n_fds;
	} cases[] = {
		{call_hand_in, "REQUEST=hand-in\nVERSION=1\nNAME=web\nVIA=library\nFDS=0:0\n", 2},
		{call_hold, "REQUEST=hold\nVERSION=1\nNAME=web\nVIA=library\nFDS=0\n", 1},
		{call_hand_in_and_hold, "REQUEST=hold\nVERSION=1\nNAME=web\nVIA=library\nFDS=0\n", 1},
		{call_withdraw_all, "REQUEST=withdraw\nVERSION=1\nNAME=web\n", 0},
		{call_withdraw_one, "REQUEST=withdraw\nVERSION=1\nNAME=web\nFDS=0\n", 1},
	};
	/* An unrequested descriptor is closed, and an unrequested row is skipped. */
	static const struct answer answers[] = {
		{.text = "ROW=1\n", .n_fds = 1}, {.text = "OK=1\n", .n_fds = 1}, {0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_broker broker = {.answers = answers};

		fake_broker_start(&broker);
		assert_int_equal(cases[i].call(), 1);
		assert_string_equal(usher_reason(), "");
		fake_broker_stop(&broker);
		assert_string_equal(broker.request, cases[i].request);
		assert_int_equal(broker.n_fds, cases[i].n_fds);
	}
}

static void test_arguments(void **state)
{
	static const char *const bad_names[] = {NULL, "", ".a", "-a", "a:b", "a/b", "a b", "a\nb", "\xc3\xa9",
		"0123456789012345678901234567890123456789012345678901234567890123"};
	int fds[65] = {0}, ret_fd;
	struct fake_broker broker = {.n_connections = 1};

	(void)state;
	(void)unlink(fake_broker_address()->sun_path);
	/* Invalid arguments are an error with or without a broker. */
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
		assert_int_equal(usher_hand_in(bad_names[i], fds, 1, 0, 0), -EINVAL);
		assert_reason("a name is 1 to 63 characters");
		assert_int_equal(usher_withdraw(bad_names[i], NULL, 0, 0, 0), -EINVAL);
		assert_int_equal(usher_hold(bad_names[i], fds, 1, 0, 0), -EINVAL);
		assert_int_equal(usher_claim(bad_names[i], &ret_fd, 1, 0, 0), -EINVAL);
	}
	assert_int_equal(usher_hand_in("web", fds, 1, 4, 0), -EINVAL);
	assert_reason("flags 0x4");
	assert_int_equal(usher_withdraw("web", NULL, 0, USHER_HOLD, 0), -EINVAL);
	assert_int_equal(usher_claim("web", &ret_fd, 1, USHER_HOLD, 0), -EINVAL);
	assert_int_equal(usher_hand_in("web", fds, 0, 0, 0), -EINVAL);
	assert_int_equal(usher_hand_in("web", NULL, 1, 0, 0), -EINVAL);
	assert_int_equal(usher_withdraw("web", NULL, 1, 0, 0), -EINVAL);
	assert_int_equal(usher_claim("web", &ret_fd, 0, 0, 0), -EINVAL);
	assert_int_equal(usher_claim("web", NULL, 1, 0, 0), -EINVAL);
	assert_int_equal(usher_hand_in("web", fds, 65, 0, 0), -E2BIG);
	assert_reason("65 sockets");
	assert_int_equal(usher_withdraw("web", fds, 65, 0, 0), -E2BIG);
	assert_int_equal(usher_hand_in("web", fds, 1, 0, -1), -EINVAL);
	assert_reason("-1 ms");
	assert_int_equal(usher_hand_in("web", fds, 64, 0, 0), 0);

	fake_broker_start(&broker);
	assert_int_equal(usher_hand_in("web", (int[]){INT_MAX}, 1, 0, 0), -EBADF);
	assert_reason("not open (EBADF)");
	fake_broker_stop(&broker);
}

/* ---- no broker ---- */

static void test_no_broker(void **state)
{
	struct fake_broker broker = {.ending = DEAF};
	char path[128];
	int ret_fd = 77;

	(void)state;
	(void)unlink(fake_broker_address()->sun_path);
	assert_int_equal(call_hand_in(), 0);
	assert_reason(fake_broker_address()->sun_path);
	assert_reason("ENOENT");
	assert_int_equal(usher_withdraw("web", NULL, 0, 0, 0), 0);
	assert_int_equal(usher_claim("web", &ret_fd, 1, 0, 0), 0);
	assert_int_equal(ret_fd, 77);
	assert_int_equal(usher_hand_in("web", (int[]){0}, 1, USHER_STRICT, 0), -ENOENT);
	assert_int_equal(usher_withdraw("web", NULL, 0, USHER_STRICT, 0), -ENOENT);
	assert_int_equal(usher_claim("web", &ret_fd, 1, USHER_STRICT, 0), -ENOENT);

	fake_broker_start(&broker); /* and its socket stays behind */
	fake_broker_stop(&broker);
	assert_int_equal(call_hand_in(), 0);
	assert_reason("ECONNREFUSED");
	assert_int_equal(call_hold(), -ECONNREFUSED);

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_return_code(setenv("USHER_SOCKET", path, 1), errno);
	assert_int_equal(call_hand_in(), -ENAMETOOLONG);
	assert_reason("127 characters");
	assert_return_code(setenv("USHER_SOCKET", fake_broker_address()->sun_path, 1), errno);
}

/* ---- a broker that refuses or fails ---- */

static void test_broker_refuses(void **state)
{
	static const char reason[] =
		"user 1000 may not use 'web': web.rule has no User=, Group= or Unit= for it";
	static const struct answer answers[] = {
		{.text = "ERRNO=13\nREASON=user 1000 may not use 'web': web.rule has no User=, Group= or Unit= for it\n"},
		{0}};
	struct fake_broker broker = {.answers = answers, .n_connections = 2};

	(void)state;
	fake_broker_start(&broker);
	assert_int_equal(call_hand_in(), -EACCES);
	assert_string_equal(usher_reason(), reason);
	assert_int_equal(call_hold(), -EACCES);
	fake_broker_stop(&broker);
	/* The next call has its own reason. */
	(void)unlink(fake_broker_address()->sun_path);
	assert_int_equal(call_hand_in(), 0);
	assert_reason("ENOENT");
}

static void test_broker_fails(void **state)
{
	static const struct answer none[] = {{0}},
				   garbage[] = {{.text = "HTTP/1.1 400 Bad Request\r\n\r\n"}, {0}},
				   row[] = {{.text = "ROW=1\n", .n_fds = 1}, {0}};
	static const struct {
		const char *label;
		const struct answer *answers;
		enum ending ending;
		int expected;
		const char *reason;
	} cases[] = {
		{"silence", none, STAY, -ETIMEDOUT, "within 60 ms"},
		{"silence after a row", row, STAY, -ETIMEDOUT, "within 60 ms"},
		{"rows without end", row, ENDLESS, -ETIMEDOUT, "within 60 ms"},
		{"a connection not accepted", none, DEAF, -ETIMEDOUT, "within 60 ms"},
		{"closed", none, CLOSE, -ECONNRESET, "without an answer"},
		{"closed after a row", row, CLOSE, -ECONNRESET, "without an answer"},
		{"garbage", garbage, STAY, -EPROTO, "control character"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int claim = 0; claim < 2; claim++) {
			struct fake_broker broker = {.answers = cases[i].answers, .ending = cases[i].ending};
			/* a busy machine may take long for an answer; only one that never comes ends with the timeout */
			int timeout = cases[i].expected == -ETIMEDOUT ? 60 : 60000;
			int ret_fds[1] = {-1}, r;
			uint64_t start, took;

			fake_broker_start(&broker);
			start = now_ms();
			r = claim ? usher_claim("web", ret_fds, 1, 0, timeout)
				  : usher_hand_in("web", (int[]){0}, 1, 0, timeout);
			took = now_ms() - start;
			if (r != cases[i].expected)
				fail_msg("%s: %d (%s)", cases[i].label, r, usher_reason());
			assert_reason(cases[i].reason);
			assert_reason(fake_broker_address()->sun_path);
			assert_int_equal(ret_fds[0], -1);
			assert_true(r != -ETIMEDOUT || took >= 60);
			assert_true(took < 30000);
			fake_broker_stop(&broker);
		}
	}
}

/* ---- claim ---- */

static void assert_same_file(int a, int b)
{
	struct stat sa, sb;

	assert_return_code(fstat(a, &sa), errno);
	assert_return_code(fstat(b, &sb), errno);
	assert_true(sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino);
}

static void test_claim_in_several_packets(void **state)
{
	int a[2], b[2], ret_fds[4] = {-1, -1, -1, -1};
	struct fake_broker broker = {0};

	(void)state;
	assert_return_code(pipe(a), errno);
	assert_return_code(pipe(b), errno);
	broker.answers = (const struct answer[]){
		{"ROW=1\nNAMES=web:web\n", {a[0], b[1]}, 2},
		{"ROW=1\nNAMES=web\n", {b[0]}, 1},
		{"OK=1\nCLAIMED=3\n", {a[1]}, 1},
		{0},
	};
	fake_broker_start(&broker);
	assert_int_equal(usher_claim("web", ret_fds, 4, 0, 0), 3);
	assert_string_equal(usher_reason(), "");
	assert_same_file(ret_fds[0], a[0]);
	assert_same_file(ret_fds[1], b[1]);
	assert_same_file(ret_fds[2], b[0]);
	assert_int_equal(ret_fds[3], -1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fcntl(ret_fds[i], F_GETFD), FD_CLOEXEC);
		closep(&ret_fds[i]);
	}
	fake_broker_stop(&broker);
	assert_string_equal(broker.request, "REQUEST=claim\nVERSION=1\nNAME=web\n");
	for (size_t i = 0; i < 2; i++) {
		closep(&a[i]);
		closep(&b[i]);
	}
}

static void test_claim_that_fails_leaves_nothing(void **state)
{
	static const struct {
		const char *end;
		size_t room;
		int expected;
		const char *reason;
	} cases[] = {
		{"OK=1\nCLAIMED=3\n", 2, -ENOBUFS, "3 sockets are held as 'web', the caller has room for 2"},
		{"OK=1\nCLAIMED=3\n", 1, -ENOBUFS, "has room for 1"},
		{"OK=1\nCLAIMED=4\n", 4, -EPROTO, "sent 3 sockets and says that it sent 4"},
		{"OK=1\nCLAIMED=none\n", 4, -EPROTO, "sent none"},
		{"OK=1\n", 4, -EPROTO, "sent no number"},
		{"ERRNO=24\nREASON=the broker has no descriptor left\n", 4, -EMFILE, "no descriptor left"},
		{"garbage\n", 4, -EPROTO, "has no '='"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct answer answers[] = {
			{"ROW=1\n", {0, 0}, 2}, {"ROW=1\n", {0}, 1}, {.text = cases[i].end}, {0}};
		struct fake_broker broker = {.answers = answers};
		int ret_fds[4] = {-1, -1, -1, -1};

		fake_broker_start(&broker);
		assert_int_equal(usher_claim("web", ret_fds, cases[i].room, 0, 0), cases[i].expected);
		assert_reason(cases[i].reason);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(ret_fds[k], -1);
		fake_broker_stop(&broker);
	}
}

static void test_claim_of_nothing(void **state)
{
	static const struct answer enoent[] = {{.text = "ERRNO=2\nREASON=nothing is held as 'web'\n"}, {0}},
				   nothing[] = {{.text = "OK=1\nCLAIMED=0\n"}, {0}};
	struct fake_broker broker = {.answers = enoent};
	int ret_fd = -1;

	(void)state;
	fake_broker_start(&broker);
	assert_int_equal(usher_claim("web", &ret_fd, 1, 0, 0), -ENOENT);
	assert_reason("nothing is held");
	fake_broker_stop(&broker);
	/* 0 would mean that there is no broker. */
	broker = (struct fake_broker){.answers = nothing};
	fake_broker_start(&broker);
	assert_int_equal(usher_claim("web", &ret_fd, 1, 0, 0), -EPROTO);
	fake_broker_stop(&broker);
	assert_int_equal(ret_fd, -1);
}

/* The broker is another process here, because the limit would affect it too. */
static void test_claim_beyond_the_limit_of_open_files(void **state)
{
	static const struct answer answers[] = {
		{"ROW=1\n", {0, 0, 0, 0}, 4}, {.text = "OK=1\nCLAIMED=4\n"}, {0}};
	struct fake_broker broker = {.answers = answers, .ending = DEAF};
	int ret_fds[4] = {-1, -1, -1, -1}, fd = -1, status;
	struct rlimit before, limit;
	pid_t child;

	(void)state;
	fake_broker_start(&broker);
	child = fork();
	if (child == 0) {
		broker.ending = STAY;
		(void)fake_broker_run(&broker);
		_exit(0);
	}
	assert_return_code(child, errno);
	/* Room for the connection and two of the four. */
	for (int n_free = 0; n_free <= 3; n_free += fcntl(fd, F_GETFD) < 0)
		fd++;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	limit = before;
	limit.rlim_cur = (rlim_t)fd;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_int_equal(usher_claim("web", ret_fds, 4, 0, 0), -EMFILE);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
	assert_reason("2 arrived");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(ret_fds[i], -1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fake_broker_stop(&broker);
}

/* ---- threads and processes ---- */

enum { N_THREADS = 8, N_CALLS = 25 };

/* Return: how many calls did not give this thread's own answer */
static void *call_from_thread(void *userdata)
{
	const char *name = userdata;
	uintptr_t n_wrong = *usher_reason() != '\0';

	for (int i = 0; i < N_CALLS; i++) {
		int r = usher_hand_in(name, (int[]){0}, 1, USHER_STRICT, 0);

		n_wrong += r != -EPERM || strcmp(usher_reason(), name) != 0;
	}
	return (void *)n_wrong;
}

static void test_threads(void **state)
{
	struct fake_broker broker = {.ending = ECHO, .n_connections = N_THREADS * N_CALLS};
	pthread_t threads[N_THREADS];
	char names[N_THREADS][16];

	(void)state;
	fake_broker_start(&broker);
	for (size_t i = 0; i < N_THREADS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "name-%zu", i);
		assert_int_equal(pthread_create(&threads[i], NULL, call_from_thread, names[i]), 0);
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		void *n_wrong;

		assert_int_equal(pthread_join(threads[i], &n_wrong), 0);
		assert_null(n_wrong);
	}
	fake_broker_stop(&broker);
}

static void test_small_stack(void **state)
{
	struct fake_broker broker = {.ending = ECHO, .n_connections = N_CALLS};
	pthread_attr_t attributes;
	char name[] = "small";
	pthread_t thread;
	void *n_wrong;

	(void)state;
	fake_broker_start(&broker);
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)32 << 10), 0);
	assert_int_equal(pthread_create(&thread, &attributes, call_from_thread, name), 0);
	assert_int_equal(pthread_join(thread, &n_wrong), 0);
	assert_null(n_wrong);
	assert_int_equal(pthread_attr_destroy(&attributes), 0);
	fake_broker_stop(&broker);
}

static void test_after_fork(void **state)
{
	static const struct answer answers[] = {{.text = "OK=1\n"}, {0}};
	struct fake_broker broker = {.answers = answers, .n_connections = 2};
	int status;
	pid_t child;

	(void)state;
	fake_broker_start(&broker);
	child = fork();
	if (child == 0)
		_exit(call_hand_in() == 1 ? 0 : 1);
	assert_return_code(child, errno);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(call_hand_in(), 1);
	fake_broker_stop(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_no_broker),
		cmocka_unit_test(test_broker_refuses),
		cmocka_unit_test(test_broker_fails),
		cmocka_unit_test(test_claim_in_several_packets),
		cmocka_unit_test(test_claim_that_fails_leaves_nothing),
		cmocka_unit_test(test_claim_of_nothing),
		cmocka_unit_test(test_claim_beyond_the_limit_of_open_files),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_small_stack),
		cmocka_unit_test(test_after_fork),
	};

	return cmocka_run_group_tests_name("lib", tests, fake_broker_set_up, fake_broker_tear_down);
}

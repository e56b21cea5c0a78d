/* SPDX-License-Identifier: BSD-3-Clause */

/* The listening socket: its path, which clients are admitted and how many, and what happens when descriptors run out */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "descriptors.h"
#include "served.h"
#include "util/macro.h"

/* ---- the path */

static void test_path(void **state)
{
	mode_t mask;
	struct stat st;
	int client;

	(void)state;
	served.door = door_free(served.door);
	assert_int_equal(access(served.path, F_OK), -1);
	mask = umask(077);
	served_open_door();
	(void)umask(mask);
	assert_return_code(lstat(served.path, &st), errno);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	client = client_open();
	client_send(client, "REQUEST=echo\n");
	client_expect(client, "OK=1\n");
	assert_return_code(close(client), errno);
}

/* An earlier broker was killed: its socket is in the way, and nothing listens on it. */
static void test_stale_path(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int stale = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), client;

	(void)state;
	served.door = door_free(served.door);
	strcpy(address.sun_path, served.path);
	assert_return_code(bind(stale, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(close(stale), errno);
	served_open_door();
	client = client_open();
	client_send(client, "REQUEST=echo\n");
	client_expect(client, "OK=1\n");
	assert_return_code(close(client), errno);
}

static int never_admit(struct session *session, const struct intake_request *request, struct refusal *refusal,
	void *userdata)
{
	(void)session;
	(void)request;
	(void)refusal;
	(void)userdata;
	fail_msg("nobody may come in here");
	return 0;
}

static void never(struct session *session, struct intake_request *request, void *userdata)
{
	(void)session;
	(void)request;
	(void)userdata;
	fail();
}

static void test_bad_paths(void **state)
{
	struct sockaddr_un address;
	char path[256] = "";
	struct door *door = NULL;
	size_t n = descriptors_count();

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/none/usher.sock", served.folder);
	assert_int_equal(
		door_new(served.event, &served.staff, -1, path, never_admit, never, NULL, &door), -ENOENT);
	assert_int_equal(
		door_new(served.event, &served.staff, -1, served.folder, never_admit, never, NULL, &door),
		-EISDIR);
	/* sun_path has 108 bytes, and the NUL is one of them */
	memset(path, 'x', sizeof(path) - 1);
	memcpy(path, served.folder, strlen(served.folder));
	path[strlen(served.folder)] = '/';
	path[sizeof(address.sun_path)] = '\0';
	assert_int_equal(door_new(served.event, &served.staff, -1, path, never_admit, never, NULL, &door),
		-ENAMETOOLONG);
	assert_null(door);
	path[sizeof(address.sun_path) - 1] = '\0';
	assert_int_equal(door_new(served.event, &served.staff, -1, path, never_admit, never, NULL, &door), 0);
	assert_null(door_free(door));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(descriptors_count(), n);
}

/* ---- quotas */

static int clients[DOOR_SESSIONS_MAX + DOOR_SESSIONS_PER_UID + 8];
static size_t n_clients;

/* Connect as a user; without root, as this one. */
static int connect_as(uid_t uid)
{
	bool change = geteuid() == 0 && uid != 0;
	int client;

	if (change)
		assert_return_code(seteuid(uid), errno);
	client = client_open();
	if (change)
		assert_return_code(seteuid(0), errno);
	return client;
}

static int let_in(uid_t uid)
{
	int client = connect_as(uid);

	assert_true(n_clients < ARRAY_SIZE(clients));
	clients[n_clients++] = client;
	client_send(client, "REQUEST=echo\n");
	client_expect(client, "OK=1\n");
	return client;
}

static void turned_away(uid_t uid, const char *reason)
{
	unsigned n = served.n_requests;
	int client = connect_as(uid);

	client_expect_refusal(client, EUSERS, reason);
	client_expect_end(client);
	assert_return_code(close(client), errno);

	/* the request is read and dropped: unread, it would make the kernel report ECONNRESET first */
	client = connect_as(uid);
	client_send_fds(client, "REQUEST=echo\n", (int[]){0, 1}, 2);
	(void)served_run();
	client_expect_refusal(client, EUSERS, reason);
	client_expect_end(client);
	assert_return_code(close(client), errno);
	assert_int_equal(served.n_requests, n);
}

static void close_clients(void)
{
	while (n_clients)
		assert_return_code(close(clients[--n_clients]), errno);
	(void)served_run();
	served_wait_descriptors(served.n_idle);
}

static void test_quota_of_a_user(void **state)
{
	uid_t uid = geteuid() == 0 ? 60001 : geteuid();
	char reason[128];

	(void)state;
	(void)snprintf(reason, sizeof(reason),
		"uid %u has 64 connections to the broker open, the most it may have (EUSERS); close some",
		uid);
	for (unsigned i = 0; i < DOOR_SESSIONS_PER_UID; i++)
		(void)let_in(uid);
	turned_away(uid, reason);
	/* others are admitted */
	if (geteuid() == 0) {
		(void)let_in(60002);
		for (unsigned i = 0; i < DOOR_SESSIONS_PER_UID + 1; i++)
			(void)let_in(0);
		turned_away(uid, reason);
	}
	/* and so is this user, after one client has left */
	assert_return_code(close(clients[7]), errno);
	(void)served_run();
	clients[7] = clients[--n_clients];
	(void)let_in(uid);
	turned_away(uid, reason);
	close_clients();
}

static void test_quota_of_all(void **state)
{
	static const char reason[] =
		"the broker has 1024 connections open, the most it takes (EUSERS); try again";
	struct rlimit before, enough = {.rlim_cur = 4096, .rlim_max = 4096};
	const unsigned n_users = DOOR_SESSIONS_MAX / DOOR_SESSIONS_PER_UID;

	(void)state;
	if (geteuid() != 0) {
		print_message("# not tried: a quota of all users, for which it takes root to be several\n");
		return;
	}
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	if (before.rlim_max > enough.rlim_max)
		enough.rlim_max = before.rlim_max;
	if (before.rlim_cur < enough.rlim_cur)
		assert_return_code(setrlimit(RLIMIT_NOFILE, &enough), errno);
	for (unsigned user = 0; user < n_users; user++)
		for (unsigned i = 0; i < DOOR_SESSIONS_PER_UID; i++)
			(void)let_in(60001 + user);
	turned_away(60001, "uid 60001 has 64 connections");
	(void)let_in(0); /* the administrator */
	/* somebody else takes the places that are idle, of those who have most, until there is nobody who has more */
	client_send(clients[0], "REQUEST=echo\n");
	client_expect(clients[0], "OK=1\n");
	for (unsigned i = 0; i < DOOR_SESSIONS_MAX / (n_users + 1) + 1; i++)
		(void)let_in(60001 + n_users);
	client_expect_refusal(clients[1], EUSERS, "which was idle, for another user (EUSERS); connect again");
	client_expect_end(clients[1]);
	client_send(clients[0], "REQUEST=echo\n");
	client_expect(clients[0], "OK=1\n");
	turned_away(60001 + n_users, reason);
	close_clients();
	assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
}

/* ---- the end */

static unsigned milliseconds_between(const struct timespec *begin, const struct timespec *end)
{
	return (unsigned)((end->tv_sec - begin->tv_sec) * 1000 + (end->tv_nsec - begin->tv_nsec) / 1000000);
}

/* A client that asks nothing delays the end by DOOR_FINISH_MS, not by 250 ms for each check. */
static void test_finish(void **state)
{
	int silent = client_open(), code;
	struct timespec begin, end;

	(void)state;
	(void)served_run();
	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &begin), errno);
	assert_int_equal(door_finish(served.door), 0);
	assert_true(sd_event_loop(served.event) >= 0);
	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &end), errno);
	assert_true(sd_event_get_exit_code(served.event, &code) >= 0);
	assert_int_equal(code, 0);
	assert_in_range(milliseconds_between(&begin, &end), DOOR_FINISH_MS, DOOR_FINISH_MS + 15000);
	assert_return_code(close(silent), errno);
}

/* ---- no descriptor left */

static void test_accepting_pauses(void **state)
{
	int first = client_open(), waiting[3];
	struct timespec begin, end;
	struct rlimit limit;

	(void)state;
	client_send(first, "REQUEST=echo\n");
	client_expect(first, "OK=1\n");
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = client_open();
		client_send(waiting[i], "REQUEST=echo\nTEXT=late\n");
	}
	limit = descriptors_forbid();
	/* it tries, waits 200 ms instead of spinning, and tries again: four times by the seventh event */
	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &begin), errno);
	for (unsigned i = 0; i < 7; i++)
		assert_true(sd_event_run(served.event, 5000000) > 0);
	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &end), errno);
	assert_in_range(milliseconds_between(&begin, &end), 600, 60000);
	/* admitted clients are served meanwhile */
	client_send(first, "REQUEST=echo\n");
	client_expect(first, "OK=1\n");
	assert_int_equal(served.n_requests, 2);
	descriptors_allow(&limit);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		client_expect(waiting[i], "OK=1\nTEXT=late\n");
		assert_return_code(close(waiting[i]), errno);
	}
	assert_return_code(close(first), errno);
	(void)served_run();
	assert_int_equal(descriptors_count(), served.n_idle);
}

/* A client that leaves before it is accepted */
static void test_impatient(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_return_code(close(client_open()), errno);
	(void)served_run();
	assert_int_equal(descriptors_count(), served.n_idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_path, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_stale_path, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_bad_paths, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_quota_of_a_user, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_quota_of_all, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_finish, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_accepting_pauses, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_impatient, served_set_up, served_tear_down),
	};

	return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The sender of a request: user, groups, process and unit, as the kernel reports for the packet, not for the
 * connection
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#include <cmocka.h>

#include "descriptors.h"
#include "served.h"
#include "util/macro.h"

static bool kernel_attaches_pidfds(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof(on)) == 0;
}

static void expect_who(int client, uid_t peer, uid_t uid, gid_t gid, pid_t pid, const char *rest)
{
	struct packet packet = PACKET_NULL;
	char expected[PACKET_TEXT_MAX];
	int size = snprintf(expected, sizeof(expected), "OK=1\nPEER=%u\nUID=%u\nGID=%u\nPID=%d\n%s", peer,
		uid, gid, pid, rest);

	assert_in_range(size, 1, sizeof(expected) - 1);
	assert_int_equal(client_receive(client, &packet), 0);
	assert_string_equal(packet.text, expected);
	packet_deinit(&packet);
}

/* "UNIT=…\nVERIFIED=…\n" of a running process */
static const char *unit_lines(void)
{
	static char text[512];
	char *unit = NULL;

	if (sd_pid_get_unit(0, &unit) < 0)
		unit = NULL;
	(void)snprintf(text, sizeof(text), "UNIT=%s\nVERIFIED=%s\n", unit ? unit : "",
		kernel_attaches_pidfds() ? "yes" : "no");
	free(unit);
	return text;
}

static void test_identity(void **state)
{
	gid_t mine[512], groups[] = {50, 60, 70};
	int n = getgroups(ARRAY_SIZE(mine), mine), client;
	size_t size;
	char rest[8192];

	(void)state;
	assert_return_code(n, errno);
	size = (size_t)snprintf(rest, sizeof(rest), "%s", unit_lines());
	if (geteuid() == 0) {
		assert_return_code(setgroups(ARRAY_SIZE(groups), groups), errno);
		(void)snprintf(rest + size, sizeof(rest) - size, "GROUP0=50\nGROUP1=60\nGROUP2=70\n");
	} else {
		for (int i = 0; i < n; i++)
			size += (size_t)snprintf(
				rest + size, sizeof(rest) - size, "GROUP%d=%u\n", i, mine[i]);
	}
	client = client_open();
	client_send(client, "REQUEST=who\n");
	expect_who(client, geteuid(), getuid(), getgid(), getpid(), rest);
	/* the groups are read once, when the client connects; the next request has the same */
	if (geteuid() == 0)
		assert_return_code(setgroups((size_t)n, mine), errno);
	client_send(client, "REQUEST=who\n");
	expect_who(client, geteuid(), getuid(), getgid(), getpid(), rest);
	assert_return_code(close(client), errno);
	(void)served_run();
	assert_int_equal(descriptors_count(), served.n_idle); /* no pidfd is left */
}

#define OTHER_ID 65534

/* Send a request on this connection from a child, as another user if possible. The child ends when stay[1] is closed. */
static pid_t send_from_child(int client, const int stay[2])
{
	pid_t pid = fork();
	char byte;

	assert_return_code(pid, errno);
	if (pid)
		return pid;
	(void)close(stay[1]);
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(OTHER_ID, OTHER_ID, OTHER_ID) < 0 ||
				      setresuid(OTHER_ID, OTHER_ID, OTHER_ID) < 0))
		_exit(1);
	if (packet_send(client, "REQUEST=who\n", 12, NULL, 0))
		_exit(2);
	_exit(read(stay[0], &byte, 1) == 0 ? 0 : 3);
}

static void await(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The sender counts, not the process that connected: a connection from root gives no rights of root. */
static void test_connection_passed_on(void **state)
{
	uid_t uid = geteuid() == 0 ? OTHER_ID : getuid();
	gid_t gid = geteuid() == 0 ? OTHER_ID : getgid();
	gid_t mine[512], groups[] = {50, 60};
	int n = getgroups(ARRAY_SIZE(mine), mine), stay[2];
	_cleanup_close_ int client = -1;
	pid_t pid;

	(void)state;
	assert_return_code(n, errno);
	if (geteuid() == 0)
		assert_return_code(setgroups(ARRAY_SIZE(groups), groups), errno);
	client = client_open();
	if (geteuid() == 0)
		assert_return_code(setgroups((size_t)n, mine), errno);
	assert_return_code(pipe2(stay, O_CLOEXEC), errno);
	pid = send_from_child(client, stay);
	expect_who(client, geteuid(), uid, gid, pid, unit_lines());
	assert_return_code(close(stay[1]), errno);
	await(pid);
	/* gone before its pid was read: the pid could be that of another process by now */
	assert_return_code(close(stay[0]), errno);
	assert_return_code(pipe2(stay, O_CLOEXEC), errno);
	pid = send_from_child(client, stay);
	assert_return_code(close(stay[1]), errno);
	await(pid);
	expect_who(client, geteuid(), uid, gid, pid, "UNIT=\nVERIFIED=no\n");
	assert_return_code(close(stay[0]), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, served_set_up, served_tear_down),
		cmocka_unit_test_setup_teardown(test_connection_passed_on, served_set_up, served_tear_down),
	};

	return cmocka_run_group_tests_name("sender", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* The processes that have a socket open: this one and its children, found among all processes */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "scan/openers.h"
#include "sockets.h"
#include "util/macro.h"

static struct diag_socket sought(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (struct diag_socket){.inode = (uint32_t)status.st_ino};
}

static struct openers find(const struct diag_socket *sockets, size_t n, pid_t pid)
{
	struct openers openers;

	assert_int_equal(openers_find(sockets, n, pid, &openers), 0);
	return openers;
}

static void expect(const struct opener *holder, size_t socket, pid_t pid, int fd)
{
	assert_int_equal(holder->socket, socket);
	assert_int_equal(holder->pid, pid);
	assert_int_equal(holder->fd, fd);
}

static void sockets_of_this_process(void **state)
{
	_cleanup_close_ int a = make_udp("127.0.0.2"), b = make_udp("127.0.0.3"),
			    none = make_udp("127.0.0.4");
	_cleanup_close_ int again = fcntl(b, F_DUPFD_CLOEXEC, 200);
	struct diag_socket sockets[] = {sought(b), sought(none), sought(a), {.inode = 0}};
	struct openers openers;

	(void)state;
	(void)close(none);
	none = -1;
	openers = find(sockets, ARRAY_SIZE(sockets), 0);
	assert_int_equal(openers.n, 3);
	expect(&openers.items[0], 0, getpid(), b);
	expect(&openers.items[1], 0, getpid(), again);
	expect(&openers.items[2], 2, getpid(), a);
	openers_deinit(&openers);
}

static void one_process_or_all(void **state)
{
	_cleanup_close_ int fd = make_udp("127.0.0.2");
	struct diag_socket socket = sought(fd);
	struct openers openers;
	pid_t child = fork();

	(void)state;
	if (!child) {
		(void)pause();
		_exit(0);
	}
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 2);
	expect(&openers.items[0], 0, child < getpid() ? child : getpid(), fd);
	openers_deinit(&openers);
	openers = find(&socket, 1, child);
	assert_int_equal(openers.n, 1);
	expect(openers.items, 0, child, fd);
	openers_deinit(&openers);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	openers = find(&socket, 1, child);
	assert_int_equal(openers.n, 0);
	assert_int_equal(openers.n_unreadable, 0);
	openers_deinit(&openers);
}

/* Inode numbers wrap around: the cookies, which are compared later, distinguish the two. */
static void two_sockets_of_one_inode(void **state)
{
	_cleanup_close_ int fd = make_udp("127.0.0.2"), other = make_udp("127.0.0.3");
	struct diag_socket sockets[] = {sought(fd), sought(other), sought(fd), sought(fd)};
	struct openers openers = find(sockets, ARRAY_SIZE(sockets), getpid());

	(void)state;
	assert_int_equal(openers.n, 4);
	expect(&openers.items[0], 0, getpid(), fd);
	expect(&openers.items[1], 1, getpid(), other);
	expect(&openers.items[2], 2, getpid(), fd);
	expect(&openers.items[3], 3, getpid(), fd);
	openers_deinit(&openers);
}

static void no_more_than_so_many(void **state)
{
	_cleanup_close_ int fd = make_udp("127.0.0.2");
	struct diag_socket socket = sought(fd);
	struct openers openers;
	int copies[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
		copies[i] = dup(fd);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, OPENERS_PER_SOCKET);
	openers_deinit(&openers);
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
		(void)close(copies[i]);
}

static unsigned asked;
static int answer;

static int other_way(const struct diag_socket *sockets, size_t n, pid_t pid, struct openers *ret)
{
	(void)sockets;
	(void)n;
	(void)pid;
	asked++;
	if (!answer)
		*ret = (struct openers){.n_unreadable = 99};
	return answer;
}

static void the_other_way_first(void **state)
{
	_cleanup_close_ int fd = make_udp("127.0.0.2");
	struct diag_socket socket = sought(fd);
	struct openers openers;

	(void)state;
	openers_use(other_way);
	openers = find(&socket, 0, 0);
	assert_int_equal(asked, 0);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n_unreadable, 99);
	/* it failed this time */
	answer = -EIO;
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 1);
	openers_deinit(&openers);
	assert_int_equal(asked, 2);
	/* it never works here */
	answer = OPENERS_ABSENT;
	for (int i = 0; i < 2; i++) {
		openers = find(&socket, 1, 0);
		assert_int_equal(openers.n, 1);
		openers_deinit(&openers);
	}
	assert_int_equal(asked, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_of_this_process),
		cmocka_unit_test(one_process_or_all),
		cmocka_unit_test(two_sockets_of_one_inode),
		cmocka_unit_test(no_more_than_so_many),
		cmocka_unit_test(the_other_way_first),
	};

	enter_netns();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

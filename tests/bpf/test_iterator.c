/* SPDX-License-Identifier: BSD-3-Clause */

/* The processes that have a socket open: bpf/descriptors.bpf.c and src/hooks/iterator.c agree with /proc. */

#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks/iterator.h"
#include "sandbox.h"
#include "util/macro.h"

static const struct sandbox_spec tcp = {.family = AF_INET, .protocol = IPPROTO_TCP, .port = 8080};

static struct sandbox_process start(const struct sandbox_spec *spec)
{
	struct sandbox_process process = sandbox_start(spec);

	assert_int_equal(process.error, 0);
	return process;
}

static struct diag_socket sought(const struct sandbox_process *process)
{
	return (struct diag_socket){.cookie = process->cookie, .inode = process->inode};
}

/* Search both ways, which must agree. */
static struct openers find(const struct diag_socket *sockets, size_t n, pid_t pid)
{
	struct openers openers, others;

	assert_int_equal(iterator_find(sockets, n, pid, &openers), 0);
	assert_int_equal(openers_find_proc(sockets, n, pid, &others), 0);
	assert_int_equal(openers.n, others.n);
	for (size_t i = 0; i < openers.n; i++) {
		assert_int_equal(openers.items[i].socket, others.items[i].socket);
		assert_int_equal(openers.items[i].pid, others.items[i].pid);
		assert_int_equal(openers.items[i].fd, others.items[i].fd);
	}
	openers_deinit(&others);
	return openers;
}

static void assert_holder(const struct openers *openers, size_t index, size_t socket, pid_t pid, int fd)
{
	assert_true(index < openers->n);
	assert_int_equal(openers->items[index].socket, socket);
	assert_int_equal(openers->items[index].pid, pid);
	assert_int_equal(openers->items[index].fd, fd);
}

static void test_processes(void **state)
{
	struct sandbox_spec udp = {
		.family = AF_INET6, .protocol = IPPROTO_UDP, .port = 53, .n_duplicates = 1};
	struct sandbox_process first = start(&tcp), second = start(&udp);
	struct diag_socket sockets[] = {sought(&second), sought(&first), {.inode = 0}, sought(&second)};
	_cleanup_(openers_deinit) struct openers all = find(sockets, 4, 0), one = find(sockets, 4, first.pid);

	(void)state;
	assert_int_equal(all.n, 5);
	assert_holder(&all, 0, 0, second.pid, second.fd);
	assert_int_equal(all.items[1].pid, second.pid); /* its duplicate */
	assert_true(all.items[1].fd > second.fd);
	assert_holder(&all, 2, 1, first.pid, first.fd);
	assert_holder(&all, 3, 3, second.pid, second.fd); /* two sockets of one inode number */
	assert_int_equal(one.n, 1);
	assert_holder(&one, 0, 1, first.pid, first.fd);
	sandbox_end(&first);
	sandbox_end(&second);
}

/* The file of an MPTCP socket has the inode number of its listener, but another cookie. */
static void test_mptcp(void **state)
{
	struct sandbox_spec spec = {.family = AF_INET, .protocol = IPPROTO_MPTCP, .port = 8080};
	struct sandbox_process process = sandbox_start(&spec);
	struct diag_socket socket = {.cookie = 1, .inode = process.inode};
	_cleanup_(openers_deinit) struct openers openers = find(&socket, 1, 0);

	(void)state;
	sandbox_end(&process);
	if (process.error == EPROTONOSUPPORT || process.error == ENOPROTOOPT)
		skip();
	assert_int_equal(openers.n, 1);
	assert_holder(&openers, 0, 0, process.pid, process.fd);
}

static void test_children(void **state)
{
	struct sandbox_spec spec = tcp;
	struct sandbox_process process;
	struct diag_socket socket;
	struct openers openers;

	(void)state;
	spec.n_children = 2;
	process = start(&spec);
	socket = sought(&process);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 3);
	assert_holder(&openers, 0, 0, process.pid, process.fd);
	assert_holder(&openers, 1, 0, process.children[0], process.fd);
	assert_holder(&openers, 2, 0, process.children[1], process.fd);
	openers_deinit(&openers);
	sandbox_close(&process);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 2);
	assert_holder(&openers, 0, 0, process.children[0], process.fd);
	openers_deinit(&openers);
	sandbox_end(&process);
}

static void test_closed(void **state)
{
	struct sandbox_process process = start(&tcp);
	struct diag_socket socket = sought(&process);
	struct openers openers;

	(void)state;
	sandbox_close(&process);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 0);
	sandbox_end(&process);
	openers = find(&socket, 1, process.pid);
	assert_int_equal(openers.n, 0);
}

static void test_many(void **state)
{
	enum { N = 3000 };
	struct sandbox_spec spec = tcp;
	struct diag_socket *sockets = calloc(N, sizeof(*sockets));
	struct sandbox_process process;
	struct openers openers;

	(void)state;
	assert_non_null(sockets);
	spec.n_duplicates = OPENERS_PER_SOCKET + 50;
	process = start(&spec);
	for (uint32_t i = 0; i < N - 1; i++)
		sockets[i].inode = UINT32_MAX - i;
	sockets[N - 1] = sought(&process);
	openers = find(sockets, N, 0);
	assert_int_equal(openers.n, OPENERS_PER_SOCKET);
	assert_holder(&openers, 0, N - 1, process.pid, process.fd);
	openers_deinit(&openers);
	openers = find(sockets, N - 1, 0); /* the results of the earlier search are gone */
	assert_int_equal(openers.n, 0);
	sandbox_end(&process);
	free(sockets);
}

static void test_pid_namespace_below(void **state)
{
	struct sandbox_spec spec = tcp;
	struct sandbox_process process;
	struct diag_socket socket;
	struct openers openers;

	(void)state;
	spec.other_pidns = true;
	process = start(&spec);
	socket = sought(&process);
	openers = find(&socket, 1, 0);
	assert_int_equal(openers.n, 1);
	assert_holder(&openers, 0, 0, process.pid, process.fd);
	openers_deinit(&openers);
	sandbox_end(&process);
}

/* Processes outside the pid namespace are left out, and those inside have their pids from inside. */
static void test_pid_namespace_above(void **state)
{
	struct sandbox_process outside = start(&tcp);
	int status;
	pid_t pid;

	(void)state;
	pid = sandbox_fork(true);
	if (!pid) {
		struct sandbox_spec spec = {.family = AF_INET, .protocol = IPPROTO_TCP, .port = 8081};
		struct sandbox_process inside;
		struct diag_socket sockets[2];
		struct openers openers;

		if (unshare(CLONE_NEWNS) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
			_exit(1);
		inside = sandbox_start(&spec);
		sockets[0] = sought(&outside);
		sockets[1] = sought(&inside);
		if (inside.error || iterator_find(sockets, 2, 0, &openers))
			_exit(2);
		_exit(openers.n == 1 && openers.items[0].socket == 1 && openers.items[0].pid == inside.pid
				? 0
				: 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	sandbox_end(&outside);
}

struct apart {
	pthread_barrier_t barrier;
	uint32_t inode;
};

static void *open_apart(void *argument)
{
	struct apart *apart = argument;
	struct stat st;
	int fd = unshare(CLONE_FILES) < 0 ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && fstat(fd, &st) == 0)
		apart->inode = (uint32_t)st.st_ino;
	(void)pthread_barrier_wait(&apart->barrier);
	(void)pthread_barrier_wait(&apart->barrier);
	return NULL;
}

/* A thread can have a descriptor table of its own: its numbers do not work with pidfd_getfd(2), so they are left out. */
static void test_thread_with_own_descriptors(void **state)
{
	struct apart apart = {.inode = 0};
	struct diag_socket socket = {.inode = 0};
	struct openers openers;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_barrier_init(&apart.barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, open_apart, &apart), 0);
	(void)pthread_barrier_wait(&apart.barrier);
	assert_int_not_equal(apart.inode, 0);
	socket.inode = apart.inode;
	openers = find(&socket, 1, 0);
	(void)pthread_barrier_wait(&apart.barrier);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(openers.n, 0);
}

static int search_with(uint64_t capabilities)
{
	struct diag_socket socket = {.inode = 1};
	struct openers openers;
	int status;
	pid_t pid = sandbox_fork(false);

	if (!pid) {
		int r;

		sandbox_keep(capabilities);
		r = iterator_find(&socket, 1, 0, &openers);
		_exit(iterator_find(&socket, 1, 0, &openers) == r ? r : 99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_capabilities(void **state)
{
	(void)state;
	assert_int_equal(search_with(1ULL << CAP_BPF | 1ULL << CAP_PERFMON), 0);
	assert_int_equal(search_with(1ULL << CAP_BPF), OPENERS_ABSENT);
	assert_int_equal(search_with(1ULL << CAP_PERFMON), OPENERS_ABSENT);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		/* in children that load the program themselves, because it is not loaded yet */
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_pid_namespace_above),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_pid_namespace_below),
		cmocka_unit_test(test_thread_with_own_descriptors),
	};

	return cmocka_run_group_tests_name("iterator", tests, NULL, NULL);
}

int main(void)
{
	return sandbox_main(all_tests);
}

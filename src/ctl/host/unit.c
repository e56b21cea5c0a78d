/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../complain.h"

#define ANSWER_MS 10000
#define ANSWER_MAX 65536U

void unit_deinit(struct unit *unit)
{
	free(unit->text);
	*unit = UNIT_NULL;
}

static long long now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int spawn(char *const *command, int output, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return -error;
	error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!error)
		error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!error)
		error = posix_spawnp(ret, command[0], &actions, NULL, command, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/* Up to the end of the output. Return: 0 or a negative errno (-ETIMEDOUT, -E2BIG). */
static int read_all(int fd, char text[static ANSWER_MAX], size_t *ret_size)
{
	long long end = now_ms() + ANSWER_MS;
	size_t size = 0;

	while (size < ANSWER_MAX) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		long long left = end - now_ms();
		ssize_t n;
		int r = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;

		if (r == 0)
			return -ETIMEDOUT;
		n = r < 0 ? -1 : read(fd, text + size, ANSWER_MAX - size);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0) {
			*ret_size = size;
			return 0;
		}
		size += n > 0 ? (size_t)n : 0;
	}
	return -E2BIG;
}

static int run(char *const *command, char text[static ANSWER_MAX], size_t *ret_size, struct refusal *refusal)
{
	_cleanup_close_ int read_end = -1, write_end = -1;
	int pipes[2], status = 0, r;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return refuse(refusal, errno, "no pipe to systemctl: %s (%s)", errno_text(errno),
			errno_name(errno));
	read_end = pipes[0];
	write_end = pipes[1];
	r = spawn(command, write_end, &pid);
	if (r < 0)
		return refuse(
			refusal, -r, "systemctl cannot be run: %s (%s)", errno_text(-r), errno_name(-r));
	closep(&write_end);
	write_end = -1;
	r = read_all(read_end, text, ret_size);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return refuse(
			refusal, -r, "systemctl does not answer: %s (%s)", errno_text(-r), errno_name(-r));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return refuse(refusal, EIO, "systemctl failed (status %d)",
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

int unit_show(const char *name, const char *properties, struct unit *ret, struct refusal *refusal)
{
	_cleanup_free_ char *text = malloc(ANSWER_MAX + 1), *option = NULL;
	size_t size = 0;
	int r;

	if (!text || asprintf(&option, "--property=%s", properties) < 0) {
		option = NULL; /* asprintf(3) leaves it undefined */
		return -ENOMEM;
	}
	r = run((char *const[]){(char *)"systemctl", (char *)"show", (char *)"--no-pager", option,
			(char *)"--", (char *)name, NULL},
		text, &size, refusal);
	if (r)
		return r;
	text[size] = '\0';
	for (char *c = text; (c = strchr(c, '\n')); c++)
		*c = '\0';
	*ret = (struct unit){.text = TAKE_PTR(text), .size = size};
	return 0;
}

const char *unit_get(const struct unit *unit, const char *property)
{
	size_t length = strlen(property);

	for (size_t i = 0; i < unit->size; i += strlen(unit->text + i) + 1)
		if (strncmp(unit->text + i, property, length) == 0 && unit->text[i + length] == '=')
			return unit->text + i + length + 1;
	return "";
}

bool unit_is(const struct unit *unit, const char *property, const char *value)
{
	return strcmp(unit_get(unit, property), value) == 0;
}

bool unit_has_word(const struct unit *unit, const char *property, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = unit_get(unit, property); *at; at += strcspn(at, " ")) {
		at += strspn(at, " ");
		if (strcspn(at, " ") == length && strncmp(at, word, length) == 0)
			return true;
	}
	return false;
}

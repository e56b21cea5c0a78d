/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../util/cleanup.h"

#define PATH_SIZE 4096

__attribute__((format(printf, 2, 3))) static int format_path(char *path, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(path, PATH_SIZE, format, ap);
	va_end(ap);
	return n < 0 || n >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

static int make_parent(char *path)
{
	char *slash = strrchr(path, '/');
	int r;

	*slash = '\0';
	r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
	if (!r)
		*slash = '/';
	return r;
}

/* @by starts @unit, which is of @template. */
static int want(const char *folder, const char *by, const char *unit, const char *template, char *path)
{
	char target[PATH_SIZE];
	int r = format_path(path, "%s/%s.wants/%s", folder, by, unit);

	if (!r)
		r = format_path(target, "%s/%s", UNIT_DIR, template);
	if (!r)
		r = make_parent(path);
	if (!r && symlink(target, path) < 0 && errno != EEXIST)
		r = -errno;
	return r;
}

/* ---- instances */

static bool is_default_only(const struct named_unit *named)
{
	return named->n_instances == 1 && !*named->instances[0];
}

static size_t put_dependencies(const struct named_unit *named, char *text, size_t size)
{
	size_t at = (size_t)snprintf(
		text, size, "# Written by usher-generator(8) from Sockets= in the rules\n[Unit]\n");

	for (size_t i = 0; i < named->n_instances && at < size; i++)
		if (*named->instances[i])
			at += (size_t)snprintf(text + at, size - at,
				"Wants=usherd@%s.socket\nAfter=usherd@%s.socket\n", named->instances[i],
				named->instances[i]);
	return at;
}

/* The sockets of one unit can be for several brokers. */
static size_t put_commands(const struct named_unit *named, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "\n[Service]\nExecStart=\n");

	for (size_t i = 0; i < named->n_instances && at < size; i++) {
		const char *name = named->instances[i];

		at += (size_t)snprintf(text + at, size - at,
			"ExecStart=" BINDIR "/usherctl --timeout=4 %s%s%shand-in --unit=%%i.socket\n",
			*name ? "--instance=" : "", name, *name ? " " : "");
	}
	return at;
}

static int write_drop_in(const char *folder, const struct named_unit *named, char *path)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	size_t size = 256 + 256 * named->n_instances, length;
	int r = format_path(path, "%s/usher@%.*s.service.d/50-usher-generator.conf", folder,
		(int)(strlen(named->unit) - strlen(".socket")), named->unit);

	if (!r)
		r = make_parent(path);
	if (r)
		return r;
	text = malloc(size);
	if (!text)
		return -ENOMEM;
	length = put_dependencies(named, text, size);
	if (length < size)
		length += put_commands(named, text + length, size - length);
	if (length >= size)
		return -E2BIG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, text, length, 0) != (ssize_t)length)
		return errno ? -errno : -EIO;
	return 0;
}

/* ---- all */

static int write_unit(const char *folder, const struct named_unit *named, char *path)
{
	char service[300];
	int r;

	(void)snprintf(service, sizeof(service), "usher@%.*s.service",
		(int)(strlen(named->unit) - strlen(".socket")), named->unit);
	r = want(folder, named->unit, service, "usher@.service", path);
	return r || is_default_only(named) ? r : write_drop_in(folder, named, path);
}

static int write_instance(const char *folder, const char *name, char *path)
{
	char broker[128], unit[128];

	if (!*name)
		return want(folder, "usherd.service", "usher-sockets.service", "usher-sockets.service", path);
	(void)snprintf(broker, sizeof(broker), "usherd@%s.service", name);
	(void)snprintf(unit, sizeof(unit), "usher-sockets@%s.service", name);
	return want(folder, broker, unit, "usher-sockets@.service", path);
}

int output_write(const char *folder, const struct named *named, char ret_path[static PATH_SIZE])
{
	int r = 0;

	for (size_t i = 0; i < named->n_units && !r; i++)
		r = write_unit(folder, &named->units[i], ret_path);
	for (size_t i = 0; i < named->n_instances && !r; i++)
		r = write_instance(folder, named->instances[i], ret_path);
	return r;
}

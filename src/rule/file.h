/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One rule file: how it is read, and how it is known again so that it need not be
 *
 * Rules of several sets that come from one reading share all memory behind struct rule; the origin counts them.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "problem.h"

/* Outcomes of file_open() besides 0 and RULE_BAD */
enum {
	FILE_MASKED = 2, /* empty, or /dev/null */
	FILE_GONE,	 /* removed since the directory was read */
};

struct file {
	int fd;
	struct timespec opened; /* just before */
	struct statx status;
};

#define FILE_NULL ((struct file){.fd = -1})

/*
 * Two changes within one tick of a file system's clock leave the same time, and the coarsest has ticks of two seconds. So
 * a file is known again only if it had been left alone for so long when it was opened: whatever is done to it afterwards
 * has another time.
 */
#define FILE_SETTLED_SEC 2

/*
 * What a change of the content cannot leave as it is, but for stores to a shared mapping, of which file systems tell the
 * first at most. Without padding, so that memcmp(3) compares it.
 */
struct file_identity {
	uint64_t mount; /* an image mounted in place of another may have its device, inodes and times */
	uint64_t device, inode, size;
	int64_t modified, modified_nsec;
	int64_t changed, changed_nsec; /* nobody can set it back */
};

struct rule_origin {
	size_t n_rules; /* that share it */
	struct file_identity identity;
};

/*
 * file_open() - open a rule file; never blocks on what is not a regular file
 *
 * Return: 0, RULE_BAD, FILE_MASKED, FILE_GONE, or -ENOMEM; file_close() in every case.
 */
int file_open(const char *path, struct file *file, struct problems *problems);
void file_close(struct file *file);

/* file_look() - what file_open() would say of a file, without opening it. Return: 0, RULE_BAD, FILE_*, or -ENOMEM. */
int file_look(const char *path, struct problems *problems);

/* file_read() - Return: 0, RULE_BAD, or -ENOMEM */
int file_read(
	const struct file *file, const char *path, char **ret, size_t *ret_size, struct problems *problems);

/* file_is_settled() - whether a later change is going to show in its identity */
bool file_is_settled(const struct file *file);

/* file_origin() - of one rule; NULL: no memory */
struct rule_origin *file_origin(const struct file *file);

/* file_is_unchanged() - whether this path still leads to the file, and it holds what was read from it then */
bool file_is_unchanged(const char *path, const struct rule_origin *origin);

/* file_complain(), file_complain_errno() - a problem of a file or directory. Return: RULE_BAD or -ENOMEM */
int file_complain(struct problems *problems, const char *path, const char *text);
int file_complain_errno(struct problems *problems, const char *path, const char *what, int error);

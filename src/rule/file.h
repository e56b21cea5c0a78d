/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One rule file: reading it, and recognising it later so that it need not be read again
 *
 * Rules in several sets that come from one reading share all memory that struct rule points to; the origin counts them.
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
 * Two changes within one tick of a file system's clock leave the same time; the coarsest has ticks of two seconds. So a
 * file is recognised only if its last change was at least that long before it was opened: then any later change has
 * another time.
 */
#define FILE_SETTLED_SEC 2

/*
 * Any change of the content changes one of these, except stores to a shared mapping: file systems note the first of
 * those at most. Without padding, so that memcmp(3) compares it.
 */
struct file_identity {
	uint64_t mount; /* an image mounted in place of another may have the same device, inodes and times */
	uint64_t device, inode, size;
	int64_t modified, modified_nsec;
	int64_t changed, changed_nsec; /* ctime: nobody can set it back */
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

/* file_look() - what file_open() would return, without opening the file. Return: 0, RULE_BAD, FILE_*, or -ENOMEM. */
int file_look(const char *path, struct problems *problems);

/* file_read() - Return: 0, RULE_BAD, or -ENOMEM */
int file_read(
	const struct file *file, const char *path, char **ret, size_t *ret_size, struct problems *problems);

/* file_is_settled() - whether any later change will show in the identity of the file */
bool file_is_settled(const struct file *file);

/* file_origin() - of one rule; NULL: no memory */
struct rule_origin *file_origin(const struct file *file);

/* file_is_unchanged() - whether this path still leads to the file, and the file has not changed since it was read */
bool file_is_unchanged(const char *path, const struct rule_origin *origin);

/* file_complain(), file_complain_errno() - add a problem of a file or directory. Return: RULE_BAD or -ENOMEM */
int file_complain(struct problems *problems, const char *path, const char *text);
int file_complain_errno(struct problems *problems, const char *path, const char *what, int error);

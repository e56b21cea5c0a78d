/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Texts of proc(5) about a process */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* proc_read() - a whole file, of which stat(2) does not give the size. Return: 0 or a negative errno. */
int proc_read(int directory, const char *name, char **ret);

/* Of "status" */
struct proc_status {
	pid_t group; /* of the thread */
	uid_t uid;   /* effective */
	gid_t gid;   /* effective */
	gid_t *groups;
	size_t n_groups;
	uint64_t capabilities; /* effective; 0 when they are not there */
};

/* proc_parse_status() - @ret: to be deinitialised on any result. Return: 0, -EBADMSG when a field is missing, or -ENOMEM. */
int proc_parse_status(const char *text, struct proc_status *ret);
void proc_status_deinit(struct proc_status *status);

/* Of "stat" */
struct proc_stat {
	char name[32];	  /* printable */
	uint64_t started; /* clock ticks since boot */
};

/* proc_parse_stat() - Return: 0 or -EBADMSG */
int proc_parse_stat(const char *text, struct proc_stat *ret);

/*
 * proc_find_user_unit() - the unit of a user's service manager in a path of "cgroup"
 *
 * "web.service" in /user.slice/user-1000.slice/user@1000.service/app.slice/web.service, for uid 1000 and nobody else: only
 * the manager of that user, and so that user, decides what is called how below user@1000.service.
 *
 * Return: the name, to be freed; NULL when there is none, or no memory.
 */
char *proc_find_user_unit(const char *cgroup, uid_t uid);

/* proc_parse_pidfd() - the pid in "fdinfo" of a pidfd, which can be 0 or -1; false for any other kind of descriptor */
bool proc_parse_pidfd(const char *text, pid_t *ret);

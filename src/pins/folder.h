/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The folder in bpffs where an instance keeps what must outlive the broker
 *
 *   link                          the attachment to the network namespace
 *   program-N                     the program of generation N; more than one only while a switch is under way
 *   sockets front early early_rules seats places members groups counters refused_device yielded events state
 *                                 the registry (../datapath/registry.h)
 *   hook_* obstacles obstacle_*   what counts sockets of others, while a rule has a later order (../datapath/obstacles.h)
 *
 * The folder is flat. A process that changes anything in it holds an exclusive flock(2) on it. ../datapath/pins.h reads
 * and makes pins. Nothing here needs libbpf, so that usherctl can look and clean up without a broker.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../util/error.h"
#include "../util/macro.h"

#define PINS_FOLDER_PATH_MAX 160

struct pins_folder {
	char path[PINS_FOLDER_PATH_MAX];
	int fd; /* locked; -1 when closed */
};

#define PINS_FOLDER_NULL ((struct pins_folder){.fd = -1})

/* Outcomes of pins_folder_make() and pins_folder_open() besides 0 and REFUSED */
enum {
	PINS_FOLDER_ABSENT = 2, /* there is none */
	PINS_FOLDER_HELD,	/* another process has it locked: a broker runs */
};

/*
 * pins_folder_make() - make the folder if it is not there, check that no other user can write in it, and lock it
 *
 * Refused: no bpffs there (ENODEV), not a directory (ENOTDIR), owned by another user (EPERM), read-only (EROFS).
 *
 * Return: 0, REFUSED, PINS_FOLDER_HELD, or a negative errno.
 */
int pins_folder_make(const char *path, struct pins_folder *ret, struct refusal *refusal);

/*
 * pins_folder_open() - lock an existing folder, whichever user owns it
 *
 * Refused: not a folder in a BPF file system (ENOTDIR, ENODEV), EACCES.
 *
 * Return: 0, REFUSED, PINS_FOLDER_ABSENT, PINS_FOLDER_HELD, or a negative errno.
 */
int pins_folder_open(const char *path, struct pins_folder *ret, struct refusal *refusal);
void pins_folder_close(struct pins_folder *folder);

enum pins_folder_state {
	PINS_FOLDER_NONE,     /* nothing is pinned: nothing is dispatched */
	PINS_FOLDER_ATTACHED, /* the link is pinned: dispatch goes on */
	PINS_FOLDER_LEFTOVER, /* the folder is there and the link is not */
	PINS_FOLDER_UNKNOWN,  /* the caller may not look at it */
};

/* pins_folder_look() - what is there, without a lock */
enum pins_folder_state pins_folder_look(const char *path);

/* pins_folder_program() - the name of the pin of a generation's program */
const char *pins_folder_program(uint64_t generation, char name[static 32]);

/* pins_folder_parse_program() - whether that is such a name, and of which generation */
bool pins_folder_parse_program(const char *name, uint64_t *ret);

/*
 * pins_folder_foreach_program() - call a function for each program-N
 *
 * Stops at the first result other than 0 and returns it. The function may remove the pin that it is called for.
 *
 * Return: that, 0, or a negative errno.
 */
int pins_folder_foreach_program(const char *path,
	int (*function)(const char *name, uint64_t generation, void *userdata), void *userdata);

/* Outcome of pins_folder_remove() besides 0 and REFUSED */
enum {
	PINS_FOLDER_STAYS =
		4, /* nothing is pinned any more; the refusal says why the folder is still there */
};

/*
 * pins_folder_remove() - remove everything that is pinned, and the folder
 *
 * Refused, before anything is removed, if something there cannot be removed: a folder (EISDIR), a mount point (EBUSY).
 * The link goes last, so that dispatch is still whole after a removal that failed in the middle; the refusal names what
 * is left.
 *
 * Return: 0, REFUSED or PINS_FOLDER_STAYS.
 */
int pins_folder_remove(const struct pins_folder *folder, struct refusal *refusal);

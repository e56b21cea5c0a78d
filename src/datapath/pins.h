/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The folder in bpffs where an instance keeps what must outlive the broker
 *
 *   link                          the attachment to the network namespace
 *   program-N                     the program of generation N; more than one only while a switch is under way
 *   sockets front early early_rules seats places counters events state     the registry (registry.h)
 *
 * Whoever changes anything in it holds an exclusive flock(2) on the folder.
 */

#include <stdint.h>

#include "../util/error.h"
#include "../util/macro.h"

#define PINS_PATH_MAX 160

struct pins {
	char path[PINS_PATH_MAX];
	int lock; /* the folder, locked; -1 when closed */
};

#define PINS_NULL ((struct pins){.lock = -1})

/*
 * pins_open() - make the folder if it is not there, check it and lock it
 *
 * Refused: no bpffs there (ENODEV), not a directory (ENOTDIR), owned by somebody else (EPERM), locked (EBUSY: another
 * broker runs), read-only (EROFS).
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int pins_open(const char *path, struct pins *ret, struct refusal *refusal);
void pins_close(struct pins *pins);

/* pins_path() - the path of one pin */
const char *pins_path(const struct pins *pins, const char *name, char path[static PINS_PATH_MAX]);

/* pins_get() - open a pinned object; Return: a descriptor, or a negative errno (-ENOENT: no such pin) */
int pins_get(const struct pins *pins, const char *name);

/* pins_put() - pin an object; Return: 0 or a negative errno (-EEXIST) */
int pins_put(const struct pins *pins, const char *name, int fd);

/* pins_replace() - pin an object in place of what is there, so that the name always leads to one of the two */
int pins_replace(const struct pins *pins, const char *name, int fd);

/* pins_drop() - unpin; no such pin is fine */
int pins_drop(const struct pins *pins, const char *name);

/* The pin of the program of a generation. */
const char *pins_program_name(uint64_t generation, char name[static 32]);

/*
 * pins_foreach_program() - call a function for each program-N
 *
 * Stops at the first result other than 0 and returns it. The function may drop the pin it is called for.
 */
int pins_foreach_program(const struct pins *pins,
	int (*function)(const char *name, uint64_t generation, void *userdata), void *userdata);

/* pins_remove_all() - drop every pin and the folder itself; -EISDIR, and nothing is dropped, when there is a folder in it */
int pins_remove_all(struct pins *pins);

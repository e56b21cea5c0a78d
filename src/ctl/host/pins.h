/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What an instance has left in bpffs, seen without a broker and without libbpf
 *
 * As in ../datapath/pins.h: the folder is flat, `link` in it is the attachment to the network namespace, and whoever
 * changes anything holds an exclusive flock(2) on the folder.
 */

#include "../../util/error.h"

enum pins_state {
	PINS_NONE,     /* nothing is pinned: nothing is dispatched */
	PINS_ATTACHED, /* the link is pinned: dispatch goes on */
	PINS_LEFTOVER, /* the folder is there and the link is not */
	PINS_UNKNOWN,  /* may not be looked at */
};

/* pins_look() - @path: the folder */
enum pins_state pins_look(const char *path);

/* Outcome of pins_remove() besides 0 and REFUSED */
enum {
	PINS_NOT_THERE = 2, /* there is no such folder */
};

/*
 * pins_remove() - remove the link, then everything else in the folder, then the folder
 *
 * Refused: not a folder in a BPF file system (ENOTDIR, ENODEV), a broker holds it (EBUSY), EPERM, EACCES, whatever
 * else unlink(2) says.
 *
 * Return: 0, REFUSED or PINS_NOT_THERE.
 */
int pins_remove(const char *path, struct refusal *refusal);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The pinned link: what attaches a program to the network namespace
 *
 * link_switch() is the moment at which a generation becomes current. link.c is the one file that calls
 * bpf_link_update(). docs/switch.md describes the steps before and after, and what survives a crash at each step.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../util/error.h"
#include "pins.h"

/* Outcome of link_open() besides 0 */
enum {
	LINK_NONE = 1, /* no pin, or one whose link was detached (bpftool link detach; namespace gone) */
};

struct link_info {
	uint32_t id;
	uint32_t program_id;
	uint32_t netns; /* inode number of the namespace; 0 when the link is detached */
};

/* link_open() - open the pinned link; Return: 0 (`*ret` is owned by the caller), LINK_NONE, or a negative errno */
int link_open(const struct pins_folder *pins, int *ret);

/* link_read_info() - Return: 0 or a negative errno */
int link_read_info(int link, struct link_info *ret);

/* link_is_attached() - whether there is a pinned link that dispatches in some namespace */
bool link_is_attached(const struct pins_folder *pins);

/*
 * link_replace_program() - put a program in place of the one on a link, whichever that is
 *
 * Return: 0 or a negative errno: the link is detached (-ENOLINK), or not for such a program.
 */
int link_replace_program(int link, int program);

/*
 * link_switch() - make a program current
 * @link:    the open link, or -1 when there is none; on success the open link that is pinned now
 * @netns:   descriptor of the network namespace
 * @current: the program that is current, or -1 when it is not known
 * @next:    the program to become so
 *
 * With @link and @current: one bpf_link_update() that names @current, so that no other program is overwritten. If
 * @current is not known, or if there is no link or it was detached, a second link is made and renamed over the pin. On
 * failure everything is as before.
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int link_switch(
	const struct pins_folder *pins, int *link, int netns, int current, int next, struct refusal *refusal);

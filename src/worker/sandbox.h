/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a worker gives up before it touches anything: capabilities, files, system calls. */

/*
 * sandbox_enter() - give up what a worker does not need, as far as the kernel has means for it
 *
 * No capability and no new ones; no path of any file system (Landlock, Linux 5.13); of the system calls those that
 * worker.c makes, and of bpf(2) the update of a map that is open.
 *
 * Return: 0 or a negative errno.
 */
int sandbox_enter(void);

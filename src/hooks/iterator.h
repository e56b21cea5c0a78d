/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The task_file iterator: bpf/descriptors.bpf.c. For openers_use(). */

#include "../scan/openers.h"

/*
 * iterator_find() - as openers_find_proc(), in the kernel
 *
 * Return: 0, OPENERS_ABSENT when this kernel, or these privileges, have none (asked once, remembered), or a negative errno.
 */
openers_function iterator_find;

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The task_file iterator, bpf/descriptors.bpf.c, for openers_use() */

#include "../scan/openers.h"

/*
 * iterator_find() - as openers_find_proc(), in the kernel
 *
 * Return: 0, OPENERS_ABSENT if the kernel or the privileges do not allow it (tried once, remembered), or a negative
 * errno.
 */
openers_function iterator_find;

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The task_file iterator: bpf/descriptors.bpf.c. For holders_use(). */

#include "../scan/openers.h"

/*
 * iterator_find() - as holders_find_proc(), in the kernel
 *
 * Return: 0, HOLDERS_ABSENT when this kernel, or these privileges, have none (asked once, remembered), or a negative errno.
 */
holders_function iterator_find;

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The task_file iterator: bpf/holders.bpf.c */

#include "holders.h"

/* Outcome of iterator_find() besides 0 */
enum {
	ITERATOR_ABSENT = 1, /* this kernel, or these privileges, have none; asked once, remembered */
};

/* iterator_find() - as holders_find(), in the kernel. Return: 0, ITERATOR_ABSENT, or a negative errno. */
int iterator_find(const struct diag_socket *sockets, size_t n, pid_t pid, struct holders *ret);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Pipes for ways that carry much: a few of 1 MiB, lent to a way as long as something is in it
 *
 * A pipe for each way would exceed the pages that a user may have in pipes (pipe-user-pages-soft, 64 MiB); beyond them
 * the kernel makes pipes of a page or two.
 */

#include <stdbool.h>
#include <stddef.h>

#define PIPES_MAX 32 /* half of that limit */
#define PIPES_SIZE (1U << 20)

struct pipes {
	int spare[PIPES_MAX][2]; /* empty ones */
	unsigned n_spare, n_lent;
};

void pipes_deinit(struct pipes *pipes);

/* pipes_borrow() - an empty pipe, neither end of which blocks; Return: whether there is one */
bool pipes_borrow(struct pipes *pipes, int ret[static 2]);

/* pipes_return() - @left: the bytes that are still in it; then it is closed */
void pipes_return(struct pipes *pipes, int pipe[static 2], size_t left);

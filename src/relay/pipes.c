/* SPDX-License-Identifier: BSD-3-Clause */
#include "pipes.h"

#include <fcntl.h>
#include <unistd.h>

void pipes_deinit(struct pipes *pipes)
{
	for (unsigned i = 0; i < pipes->n_spare; i++) {
		(void)close(pipes->spare[i][0]);
		(void)close(pipes->spare[i][1]);
	}
	pipes->n_spare = 0;
}

bool pipes_borrow(struct pipes *pipes, int ret[static 2])
{
	if (pipes->n_spare) {
		pipes->n_spare--;
		ret[0] = pipes->spare[pipes->n_spare][0];
		ret[1] = pipes->spare[pipes->n_spare][1];
	} else {
		if (pipes->n_lent == PIPES_MAX || pipe2(ret, O_NONBLOCK | O_CLOEXEC) < 0)
			return false;
		/* refused if the user has many pipes elsewhere; a smaller one is slower, and right */
		(void)fcntl(ret[1], F_SETPIPE_SZ, PIPES_SIZE);
	}
	pipes->n_lent++;
	return true;
}

void pipes_return(struct pipes *pipes, int pipe[static 2], size_t left)
{
	pipes->n_lent--;
	if (left) {
		(void)close(pipe[0]);
		(void)close(pipe[1]);
	} else {
		pipes->spare[pipes->n_spare][0] = pipe[0];
		pipes->spare[pipes->n_spare++][1] = pipe[1];
	}
	pipe[0] = pipe[1] = -1;
}

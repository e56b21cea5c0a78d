/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

int run_command(const struct ctl *ctl)
{
	int error;

	(void)execvp(ctl->command[0], ctl->command);
	error = errno;
	complain("cannot execute '%s': %s (%s)", ctl->command[0], strerror(error), ERRNO_NAME(error));
	return error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
}

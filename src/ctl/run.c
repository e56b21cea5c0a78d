/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../util/errno_name.h"
#include "complain.h"

int run_command(const struct ctl *ctl)
{
	int error;

	(void)execvp(ctl->command[0], ctl->command);
	error = errno;
	complain("cannot execute '%s': %s (%s)", ctl->command[0], errno_text(error), errno_name(error));
	return error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctl.h"

/* run_command() - execute COMMAND of the command line in this process; Return: an exit code, when it cannot be */
int run_command(const struct ctl *ctl);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctl.h"

/* run_command() - execute COMMAND of the command line in this process; Return: an exit code, if it cannot be executed */
int run_command(const struct ctl *ctl);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "verbs.h"

/* help_print() - the help text, or that of one verb if @verb is not NULL; Return: an exit code */
int help_print(const struct verb *verb);

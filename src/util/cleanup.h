/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Cleanup attributes for streams of the C library: _cleanup_(closedirp), _cleanup_(fclosep). */

#include <dirent.h>
#include <stdio.h>

#include "macro.h"

DEFINE_CLEANUP(DIR, closedir);
DEFINE_CLEANUP(FILE, fclose);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What becomes of attempts to reach a backend: counted, and logged when that changes */

#include "connection.h"

void report_reached(struct connection_home *home, struct settings *settings, size_t backend);
void report_failed(struct connection_home *home, struct settings *settings, size_t backend, int error);

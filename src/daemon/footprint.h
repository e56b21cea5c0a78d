/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the broker's process takes of the machine. */

#include "../wire/message.h"

/* footprint_write() - keys of the request status; what cannot be read is left out */
void footprint_write(struct writer *answer);

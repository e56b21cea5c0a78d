/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The resources of the machine that the broker's process uses */

#include "../wire/message.h"

/* footprint_write() - keys of the request status; what cannot be read is left out */
void footprint_write(struct writer *answer);

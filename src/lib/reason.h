/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Why the last call of this thread failed */

#include "../util/error.h"

/* reason() - to be filled by refuse(); never NULL */
struct refusal *reason(void);

/* reason_clear() - the call has succeeded */
void reason_clear(void);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* usherctl metrics: what the relays of the names count */

#include "out/openmetrics.h"
#include "view/seats.h"

/* relay_metrics_write() - nothing if no name has a relay that runs; Return: 0 or -ENOMEM */
int relay_metrics_write(struct openmetrics *metrics, const struct seats *seats);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../../bpf/usher-bpf.h"

/*
 * event_record_check() - whether a record of the ring buffer is an event of this version
 * @size: of the record
 *
 * The ring buffer is pinned: whoever may open it can have written there.
 */
bool event_record_check(const void *record, size_t size);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../../bpf/usher-bpf.h"

/*
 * event_record_read() - an event from a record of the ring buffer
 * @size: of the record; what records of earlier versions lack is zero
 *
 * The ring buffer is pinned: whoever may open it can have written there.
 *
 * Return: whether it is one of this version.
 */
bool event_record_read(const void *record, size_t size, struct usher_event *ret);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../../bpf/usher-discover.h"

/* listen_record_check() - whether a record of the ring buffer is one of listen.bpf.c; @size: of the record */
bool listen_record_check(const void *record, size_t size);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdint.h>

/*
 * capability_keep() - drop all capabilities of this process but some, for good
 * @wanted: a bit for each, as (1ULL << CAP_BPF) | (1ULL << CAP_NET_ADMIN); those that the process lacks it does not get
 *
 * Return: 0, or a negative errno of capset(2): -EPERM where a system call filter forbids it.
 */
int capability_keep(uint64_t wanted);

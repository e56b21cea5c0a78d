/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The functions of libmnl that receive, in the place of the library's: what they receive is the input of a target */

#include <stddef.h>
#include <stdint.h>

/* netlink_input_set() - @data: datagrams, each after its size in two bytes; what follows one in the buffer is poisoned */
void netlink_input_set(const uint8_t *data, size_t size);

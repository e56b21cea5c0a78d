/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The attributes of a message of nf_tables, by type. A number is in network order there. */

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

#define ATTRIBUTES_MAX 32

struct attributes {
	const struct nlattr *items[ATTRIBUTES_MAX]; /* NULL: not there */
};

/* attributes_read() - of a payload; what this program does not know, and what is cut off, is left out */
void attributes_read(const void *payload, size_t size, struct attributes *ret);

/* attributes_read_nested() - @nest: NULL has none */
void attributes_read_nested(const struct nlattr *nest, struct attributes *ret);

/* attributes_u32(), attributes_u64() - @otherwise: when there is none */
uint32_t attributes_u32(const struct attributes *attributes, unsigned type, uint32_t otherwise);
uint64_t attributes_u64(const struct attributes *attributes, unsigned type, uint64_t otherwise);

/* attributes_text() - "" when there is none. Borrowed from the message. */
const char *attributes_text(const struct attributes *attributes, unsigned type);

/* attributes_data() - of NFTA_DATA_VALUE in an attribute; Return: its size, 0 when there is none */
size_t attributes_data(const struct attributes *attributes, unsigned type, const uint8_t **ret);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Values of which some bits are not known, and what can be said about them nevertheless
 *
 * A value has a mask `known` of the same size, with ones for the bits that are known. Order is that of memcmp(3).
 */

#include <stddef.h>
#include <stdint.h>

/* Does it fit? The order counts: the smaller of two is both together. */
enum bits_fit { BITS_NO, BITS_MAYBE, BITS_YES };

enum bits_fit bits_not(enum bits_fit fit);
enum bits_fit bits_both(enum bits_fit a, enum bits_fit b);

/* bits_equal() - to a value that is known */
enum bits_fit bits_equal(const uint8_t *value, const uint8_t *known, const uint8_t *other, size_t size);

/* bits_within() - @first, @last: both belong to the range */
enum bits_fit bits_within(
	const uint8_t *value, const uint8_t *known, const uint8_t *first, const uint8_t *last, size_t size);

/* bits_below() - less than a value that is known, or with @equal less or equal; @size: up to 64 bytes */
enum bits_fit bits_below(
	const uint8_t *value, const uint8_t *known, const uint8_t *other, size_t size, int equal);

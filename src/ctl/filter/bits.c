/* SPDX-License-Identifier: BSD-3-Clause */
#include "bits.h"

#include <string.h>

enum bits_fit bits_not(enum bits_fit fit)
{
	return BITS_YES - fit;
}

enum bits_fit bits_both(enum bits_fit a, enum bits_fit b)
{
	return a < b ? a : b;
}

enum bits_fit bits_equal(const uint8_t *value, const uint8_t *known, const uint8_t *other, size_t size)
{
	enum bits_fit fit = BITS_YES;

	for (size_t i = 0; i < size; i++) {
		if ((value[i] ^ other[i]) & known[i])
			return BITS_NO;
		if (known[i] != 0xff)
			fit = BITS_MAYBE;
	}
	return fit;
}

/* The order of the least value that it may have (or with @most the greatest one) and another value, as of memcmp() */
static int compare(
	const uint8_t *value, const uint8_t *known, const uint8_t *other, size_t size, uint8_t most)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)((value[i] & known[i]) | (most & ~known[i]));

		if (byte != other[i])
			return byte < other[i] ? -1 : 1;
	}
	return 0;
}

enum bits_fit bits_below(
	const uint8_t *value, const uint8_t *known, const uint8_t *other, size_t size, int equal)
{
	/* less than the other by this is below it */
	int bound = equal ? 1 : 0;

	if (compare(value, known, other, size, 0xff) < bound)
		return BITS_YES;
	return compare(value, known, other, size, 0) < bound ? BITS_MAYBE : BITS_NO;
}

enum bits_fit bits_within(
	const uint8_t *value, const uint8_t *known, const uint8_t *first, const uint8_t *last, size_t size)
{
	if (!memcmp(first, last, size))
		return bits_equal(value, known, first, size);
	return bits_both(
		bits_not(bits_below(value, known, first, size, 0)), bits_below(value, known, last, size, 1));
}

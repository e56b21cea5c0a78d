/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The order of a seat: up to eight slots in one 64-bit word, as bpf/usher-bpf.h describes it
 *
 * Byte 0 is the slot that serves, plus one. A zero byte ends the list.
 */

#include <stdint.h>

#include "../../bpf/usher-bpf.h"

static inline unsigned order_length(uint64_t order)
{
	unsigned n = 0;

	for (; n < USHER_PLACES_MAX && (order & 0xff); order >>= 8)
		n++;
	return n;
}

/* order_slot() - the slot at a rank below order_length() */
static inline uint32_t order_slot(uint64_t order, unsigned rank)
{
	return (uint32_t)(order >> 8 * rank & 0xff) - 1;
}

/* order_without() - the order without this slot; unchanged when the slot is not in it */
static inline uint64_t order_without(uint64_t order, uint32_t slot)
{
	uint64_t result = 0;
	unsigned n = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++)
		if (order_slot(order, rank) != slot)
			result |= (uint64_t)(order_slot(order, rank) + 1) << 8 * n++;
	return result;
}

static inline bool order_has(uint64_t order, uint32_t slot)
{
	return order_without(order, slot) != order;
}

/*
 * order_with() - the order with this slot at a rank, or at the end when the list is shorter
 *
 * The slot must not be in the order. A full order loses its last slot.
 */
static inline uint64_t order_with(uint64_t order, uint32_t slot, unsigned rank)
{
	unsigned length = order_length(order), n = 0;
	uint64_t result = 0;

	for (unsigned i = 0; i <= length && n < USHER_PLACES_MAX; i++) {
		if (i == rank || (i == length && rank > length))
			result |= (uint64_t)(slot + 1) << 8 * n++;
		if (i < length && n < USHER_PLACES_MAX)
			result |= (uint64_t)(order_slot(order, i) + 1) << 8 * n++;
	}
	return result;
}

/* order_repair() - what an order read from a pin can mean: the same without slots that do not exist or stand twice */
static inline uint64_t order_repair(uint64_t order)
{
	uint64_t result = 0;

	for (unsigned rank = 0; rank < order_length(order); rank++) {
		uint32_t slot = order_slot(order, rank);

		if (slot < USHER_SLOTS_MAX && order_without(result, slot) == result)
			result = order_with(result, slot, USHER_PLACES_MAX);
	}
	return result;
}

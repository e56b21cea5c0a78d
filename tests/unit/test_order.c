/* SPDX-License-Identifier: BSD-3-Clause */

/* The order of a seat, compared with a list: every possible order, and random histories of seats */

#undef NDEBUG
#include <assert.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/order.h"

/* The same as an order, written out plainly */
struct list {
	uint32_t slots[USHER_PLACES_MAX];
	unsigned n;
};

static uint64_t list_order(const struct list *list)
{
	uint64_t order = 0;

	for (unsigned i = 0; i < list->n; i++)
		order |= (uint64_t)(list->slots[i] + 1) << 8 * i;
	return order;
}

static bool list_contains(const struct list *list, uint32_t slot)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->slots[i] == slot)
			return true;
	return false;
}

static struct list list_with(const struct list *list, uint32_t slot, unsigned rank)
{
	struct list result = *list;

	if (rank > list->n)
		rank = list->n;
	memmove(&result.slots[rank + 1], &list->slots[rank], (list->n - rank) * sizeof(slot));
	result.slots[rank] = slot;
	result.n++;
	return result;
}

static struct list list_without(const struct list *list, uint32_t slot)
{
	struct list result = {.n = 0};

	for (unsigned i = 0; i < list->n; i++)
		if (list->slots[i] != slot)
			result.slots[result.n++] = list->slots[i];
	return result;
}

static void check(uint64_t order, const struct list *list)
{
	assert_true(order == list_order(list));
	assert_int_equal(order_length(order), list->n);
	for (unsigned i = 0; i < list->n; i++)
		assert_int_equal(order_slot(order, i), list->slots[i]);
}

static size_t check_all(const struct list *list)
{
	static const unsigned beyond[] = {USHER_PLACES_MAX, USHER_PLACES_MAX + 1, 255, UINT_MAX};
	uint64_t order = list_order(list);
	size_t n = 1;

	check(order, list);
	for (uint32_t slot = 0; slot < USHER_PLACES_MAX; slot++) {
		struct list changed = list_without(list, slot);

		check(order_without(order, slot), &changed);
		if (list_contains(list, slot))
			continue;
		for (unsigned rank = 0; rank <= list->n + 1; rank++) {
			changed = list_with(list, slot, rank);
			check(order_with(order, slot, rank), &changed);
		}
		for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
			changed = list_with(list, slot, beyond[i]);
			check(order_with(order, slot, beyond[i]), &changed);
		}
		changed = list_with(list, slot, list->n);
		n += check_all(&changed);
	}
	return n;
}

static void test_every_order(void **state)
{
	const struct list empty = {.n = 0};

	(void)state;
	/* the sum of 8! / (8 - k)! for k from 0 to 8 */
	assert_int_equal(check_all(&empty), 109601);
}

static void test_lives(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned life = 0; life < 200; life++) {
		struct list list = {.n = 0};
		uint64_t order = 0;

		for (unsigned step = 0; step < 500; step++) {
			uint32_t slot = (uint32_t)random() % USHER_PLACES_MAX;
			unsigned rank = (unsigned)random() % (USHER_PLACES_MAX + 2);

			if (list_contains(&list, slot)) {
				list = list_without(&list, slot);
				order = order_without(order, slot);
			} else {
				list = list_with(&list, slot, rank);
				order = order_with(order, slot, rank);
			}
			check(order, &list);
		}
	}
}

/* A zero byte ends the list, whatever a broker of another version or a stray write left after it. */
static void test_end_of_list(void **state)
{
	(void)state;
	assert_int_equal(order_length(0), 0);
	assert_int_equal(order_length(UINT64_C(0xff00)), 0);
	assert_int_equal(order_length(UINT64_C(0x0800000000000001)), 1);
	assert_int_equal(order_length(UINT64_C(0x0807060504030201)), 8);
	assert_true(order_without(UINT64_C(0x0800000000000201), 0) == 2);
	assert_true(order_with(UINT64_C(0x0800000000000001), 1, 0) == UINT64_C(0x0102));
}

/* What stands in a pin may be anything: none of it makes a shift that is too wide, or a list that is too long. */
static void test_any_word(void **state)
{
	(void)state;
	srandom(2);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t order = 0, repaired;

		for (unsigned byte = 0; byte < 8; byte++)
			order |= (uint64_t)(random() & (i % 2 ? 0xff : 0x1f)) << 8 * byte;
		for (unsigned rank = 0; rank < USHER_PLACES_MAX + 2; rank++)
			assert_true(order_length(order_with(order, 3, rank)) <= USHER_PLACES_MAX);
		repaired = order_repair(order);
		assert_true(order_repair(repaired) == repaired);
		for (unsigned rank = 0; rank < order_length(repaired); rank++) {
			uint32_t slot = order_slot(repaired, rank);

			assert_true(slot < USHER_SLOTS_MAX);
			assert_int_equal(
				order_length(order_without(repaired, slot)), order_length(repaired) - 1);
		}
	}
	assert_true(order_repair(UINT64_C(0x0807060504030201)) == UINT64_C(0x0807060504030201));
	assert_true(order_repair(UINT64_C(0xff01021101020000)) == 0);
	assert_true(order_repair(UINT64_C(0x0001ff1101021002)) == UINT64_C(0x011002));
	assert_true(order_with(UINT64_C(0x0807060504030201), 8, 0) == UINT64_C(0x0706050403020109));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_order),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_end_of_list),
		cmocka_unit_test(test_any_word),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}

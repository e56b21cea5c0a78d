/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Arrays that grow by one item at a time, and the search in sorted ones */

#include <errno.h>
#include <stdlib.h>

#include "macro.h"

/*
 * ARRAY_RESERVE() - make room for item number `n` of an array that grows only this way
 *
 * The capacity follows from the length: it is at least the next power of two. Items may be removed in between.
 *
 * Value: 0 or -ENOMEM, which leaves the array as it is.
 */
#define ARRAY_RESERVE(items, n)                                                                              \
	({                                                                                                   \
		size_t _n_ = (n);                                                                            \
		void *_items_ = (items);                                                                     \
		if (!(_n_ & (_n_ - 1)))                                                                      \
			_items_ = reallocarray((items), _n_ ? 2 * _n_ : 1, sizeof(*(items)));                \
		if (_items_)                                                                                 \
			(items) = _items_;                                                                   \
		_items_ ? 0 : -ENOMEM;                                                                       \
	})

/*
 * array_lower_bound() - where a key is in a sorted array, or where it would be
 * @compare: as for bsearch(3): the key first, then the item
 *
 * Return: the index of the first item that does not come before the key; @n when all do.
 */
size_t array_lower_bound(const void *key, const void *items, size_t n, size_t size,
	int (*compare)(const void *key, const void *item));

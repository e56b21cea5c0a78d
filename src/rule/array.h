/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Arrays that grow by one item at a time; their capacity is a power of two and follows from their length. */

#include <errno.h>
#include <stdlib.h>

#include "../util/macro.h"

/*
 * ARRAY_RESERVE() - make room for item number `n` of an array that grows only this way
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

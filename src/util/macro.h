/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Cleanup attributes and ownership transfer, as error.h describes them. */

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define _cleanup_(function) __attribute__((cleanup(function)))

/* TAKE_FD(fd), TAKE_PTR(pointer): hand the value over; the variable no longer owns it. */
#define TAKE_FD(fd)                                                                                          \
	({                                                                                                   \
		int *_fd_ = &(fd);                                                                           \
		int _taken_ = *_fd_;                                                                         \
		*_fd_ = -1;                                                                                  \
		_taken_;                                                                                     \
	})
#define TAKE_PTR(pointer)                                                                                    \
	({                                                                                                   \
		typeof(pointer) *_pointer_ = &(pointer);                                                     \
		typeof(pointer) _taken_ = *_pointer_;                                                        \
		*_pointer_ = NULL;                                                                           \
		_taken_;                                                                                     \
	})

static inline void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_free_ _cleanup_(freep)

/* Declares the `_cleanup_(type_freep)` helper of a heap object whose destructor accepts NULL. */
#define DEFINE_CLEANUP(type, destructor)                                                                     \
	static inline void destructor##p(type **object)                                                      \
	{                                                                                                    \
		if (*object)                                                                                 \
			(void)destructor(*object);                                                           \
	}                                                                                                    \
	struct _need_semicolon_

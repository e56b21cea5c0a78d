/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* libusher: hand listening sockets to usher. See the comments of each call, usher_hand_in(3) and docs/protocol.md. */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of every call. */
#define USHER_STRICT 1U /* no broker is an error (the errno of connect(2)) instead of 0 */
#define USHER_HOLD 2U	/* usher_hand_in() only: the broker keeps a duplicate, as usher_hold() */

/* A timeout_ms of 0 means this. */
#define USHER_TIMEOUT_DEFAULT_MS 5000

int usher_hand_in(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);
int usher_withdraw(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);
int usher_hold(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);
int usher_claim(const char *name, int ret_fds[], size_t n_fds, unsigned flags, int timeout_ms);
const char *usher_reason(void);

#ifdef __cplusplus
}
#endif

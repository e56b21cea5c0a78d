/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The error contract of usher, written once
 *
 * 1. A function returns 0 on success or a negative errno. A negative value is unexpected: a caller forwards it
 *    untouched or, at the top, reports it. No caller branches on its value.
 * 2. An expected outcome other than success is a positive value of an enum that the module documents. The direct
 *    caller handles it and does not forward it. REFUSED below is the one outcome that several modules share.
 * 3. Outputs are last, named ret_*, and are written only when the function says so (for ret_*: on success).
 * 4. libbpf and sd_* calls return >= 0 on success and a negative errno on failure: test with `r < 0`, and use r, not
 *    errno.
 * 5. A function that takes a descriptor says so (`_consume_`) and closes it on failure too. `_dup_` makes its own
 *    copy, `_steal` gives the only copy away. Every descriptor is born O_CLOEXEC.
 * 6. Memory and descriptors are released by the cleanup attributes of macro.h, handed over with TAKE_PTR/TAKE_FD.
 * 7. Only observe/ logs. All other code returns a number and, where a person will read the reason, a struct refusal.
 */

/* The largest errno of Linux (include/linux/err.h): what another process sends is one only if it is not larger. */
#define ERRNO_MAX 4095

/* The outcome "no, and here is why": the struct refusal that was passed in has been filled. */
enum { REFUSED = 1 };

/*
 * Why something was refused, as a person will read it: object, reason, errno, remedy.
 * `error` is a positive errno, `text` one line without a line break or a trailing full stop.
 */
struct refusal {
	int error;
	char text[512];
};

/*
 * refuse() - fill a refusal
 * @refusal: what to fill
 * @error:   positive errno, for programs to act upon
 * @format:  printf format of the reason; control characters in the result are replaced by '?'
 *
 * Return: REFUSED, so that `return refuse(...)` reads well.
 */
int refuse(struct refusal *refusal, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* it does not look into other files, and takes 0 for possible */
#define refuse(...) (refuse(__VA_ARGS__), REFUSED)
#endif

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * libusher: hand listening sockets in to usher, whose rules send connections and datagrams to them
 *
 * Every call connects to the broker, sends one request, waits for the answer and disconnects.
 *
 * - It returns more than 0 when the broker has done it. It returns 0 when no broker runs, so that a service runs
 *   the same with and without usher (see USHER_STRICT). It returns a negative errno when the broker refused, in
 *   which case nothing has changed, or when the call failed. usher_reason() returns the reason in words.
 * - It returns before its deadline, timeout_ms milliseconds from now; 0 means USHER_TIMEOUT_DEFAULT_MS.
 * - Any thread may make it at any time, also after fork(2), but not in a signal handler. It raises no signal,
 *   starts no thread, prints nothing and keeps nothing open. It needs 24 KiB of stack and no heap.
 *
 * A service that continues when this fails would write
 *
 *	r = usher_hand_in("web", &fd, 1, 0, 0);
 *	if (r < 0)
 *		fprintf(stderr, "cannot hand in 'web': %s\n", usher_reason());
 *
 * A name is 1 to 63 characters of A-Z a-z 0-9 . _ @ -, not starting with . or -. The section [Access] in the
 * rule file of the name says who may use it, see usher.rules(5). The broker checks the credentials of the caller
 * that the kernel reports. The library connects to $USHER_SOCKET, which it ignores in a set-user-ID program, or
 * else to /run/usher/usher.sock.
 *
 * Errors of every call; treat one that you do not know as a failure:
 *
 *	-EINVAL        an argument is not valid, according to this library or to the broker
 *	-EACCES        the caller may not use the name, or may not connect
 *	-ENOENT        there is no rule of that name (with USHER_STRICT: or no broker)
 *	-ENAMETOOLONG  $USHER_SOCKET does not fit in a socket address
 *	-ETIMEDOUT     no answer before the deadline; the broker may still do what was requested
 *	-ECONNRESET    the broker closed the connection without an answer
 *	-EPROTO        the broker's answer does not follow the protocol
 *	other          of the request (below), of socket(2), connect(2), sendmsg(2) or recvmsg(2)
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of every call. */
#define USHER_STRICT 1U /* no broker is an error (-ENOENT, -ECONNREFUSED) instead of 0 */
#define USHER_HOLD 2U	/* usher_hand_in() only: the same as usher_hold() */

/* A timeout_ms of 0 means this. */
#define USHER_TIMEOUT_DEFAULT_MS 5000

/*
 * usher_hand_in() - let the rules of a name send connections and datagrams to these sockets
 * @name:        the name of a rule, which is in the file NAME.rule
 * @fds, @n_fds: 1 to 64 sockets: listening TCP, or UDP that is bound and not connected. They stay the caller's,
 *               which goes on accepting from them. The broker has no copy when the call returns
 * @flags:       USHER_STRICT, USHER_HOLD
 * @timeout_ms:  for the whole call
 *
 * The newest socket of a name, protocol and family serves; of those in one call, the first in @fds. When it is
 * closed or its process ends, the one before it serves again. A socket that is handed in again keeps its place.
 *
 * Errors besides those of every call: -E2BIG for more than 64 sockets, -EBADF for a descriptor that is not open,
 * and the errno with which the broker refuses a socket, for example -EOPNOTSUPP for an MPTCP listener.
 * usher_reason() says which socket, and what to do.
 *
 * Return: 1, 0 without a broker, or a negative errno.
 */
int usher_hand_in(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);

/*
 * usher_withdraw() - stop sending to these sockets
 * @name:        the name under which they were handed in
 * @fds, @n_fds: at most 64 sockets, which stay open; NULL and 0 for all sockets of the name, those of other
 *               processes included
 * @flags:       USHER_STRICT
 * @timeout_ms:  for the whole call
 *
 * Established connections continue, and those that wait in the socket can still be accepted. A socket that is
 * closed needs no withdrawal, unless it is held.
 *
 * Errors besides those of every call: -ENOENT when none of them is handed in under the name, -E2BIG, -EBADF.
 *
 * Return: 1, 0 without a broker, or a negative errno.
 */
int usher_withdraw(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);

/*
 * usher_hold() - usher_hand_in(), and the broker keeps a duplicate of each socket
 *
 * The sockets go on listening when the process ends. Connections wait in them until its successor claims them
 * with usher_claim(). The broker releases them after usher_withdraw(). If their process has ended and nobody has
 * claimed them, it also does so when a newer socket is handed in for the same name, protocol and family.
 * Parameters, errors and return value are those of usher_hand_in().
 */
int usher_hold(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms);

/*
 * usher_claim() - get the held sockets of a name
 * @name:       the name under which they were handed in
 * @ret_fds:    room for @n_fds descriptors. On success the first ones are set, in the order in which the
 *              sockets were handed in: close-on-exec, the caller's to close. On failure it holds none
 * @n_fds:      1 or more
 * @flags:      USHER_STRICT
 * @timeout_ms: for the whole call
 *
 * The broker goes on holding them, and they go on serving. Each is the same socket that was handed in, with its
 * options, its file status flags (O_NONBLOCK) and the connections that wait in it.
 *
 * Errors besides those of every call: -ENOENT when nothing is held under the name, -ENOBUFS when there are
 * more than @n_fds, -EMFILE when the process may not open that many descriptors.
 *
 * Return: how many descriptors are in @ret_fds, 0 without a broker, or a negative errno.
 */
int usher_claim(const char *name, int ret_fds[], size_t n_fds, unsigned flags, int timeout_ms);

/*
 * usher_reason() - why the last call of this thread did not return more than 0
 *
 * Return: one line without a full stop that names the object, the reason and what to do; "" when the call
 * succeeded or the thread has made none. Valid until the next call of the thread; not to be freed.
 */
const char *usher_reason(void);

#ifdef __cplusplus
}
#endif

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
#include <sys/socket.h>
#include <sys/types.h>

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
 * UDP: where a datagram was sent, and answers from there
 *
 * A datagram for 192.0.2.1 that a rule leads to a socket at 127.0.0.2 must be answered from 192.0.2.1: a client drops
 * what comes from elsewhere. The socket's own address does not say where a datagram was sent; the kernel does, for
 * each one. A service calls usher_udp_prepare() once, and then usher_udp_receive() and usher_udp_send() where it would
 * call recvfrom(2) and sendto(2):
 *
 *	struct usher_udp_path path;
 *
 *	usher_udp_prepare(fd);
 *	n = usher_udp_receive(fd, buffer, sizeof(buffer), 0, &path);
 *	if (n >= 0)
 *		usher_udp_send(fd, answer, answer_size, 0, &path);
 *
 * They need no broker, and work the same for datagrams that no rule concerns. All return a negative errno on failure,
 * and usher_reason() says why; they write no address and no byte of the caller's then.
 */

/* How one datagram came */
struct usher_udp_path {
	/* Who sent it. IPv4 clients of an IPv6 socket are ::ffff:192.0.2.9, in both addresses */
	struct sockaddr_storage client;
	/* Where it was sent: with a rule, an address and port of the rule. AF_UNSPEC when the kernel does not say */
	struct sockaddr_storage original;
	/* The device by which it came, for if_indextoname(3), or 0. Link-local addresses are of this device */
	unsigned device;
};

/*
 * usher_udp_prepare() - have the kernel say where datagrams were sent
 * @fd: a UDP socket of IPv4 or IPv6, bound or not
 *
 * Sets IP_PKTINFO and IP_RECVORIGDSTADDR, with IPv6 also IPV6_RECVPKTINFO, IPV6_RECVORIGDSTADDR, and IPV6_FREEBIND,
 * without which the kernel lets no answer leave from an address that is local by a route only (ip(7), ipv6(7),
 * ip6_datagram_send_ctl() of net/ipv6/datagram.c). Datagrams that wait already are described, too.
 *
 * Errors: -EBADF, -ENOTSOCK, -EPROTOTYPE for a socket that is not UDP, other errors of setsockopt(2).
 *
 * Return: 0 or a negative errno.
 */
int usher_udp_prepare(int fd);

/*
 * usher_udp_receive() - a datagram, its sender, and where it was sent
 * @fd:            a socket after usher_udp_prepare()
 * @buffer, @size: for the datagram; of a longer one, the rest is lost
 * @flags:         of recvmsg(2): MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC (return the length of the datagram, not of what fits)
 * @ret_path:      set on success
 *
 * Control messages of options that the service has set itself are not returned (use recvmsg(2) for those).
 *
 * Errors: -EAGAIN when the socket does not wait and nothing came, other errors of recvmsg(2). An error that an earlier
 * answer met (IP_RECVERR, or a connected socket) is reported once.
 *
 * Return: bytes, 0 for an empty datagram, or a negative errno.
 */
ssize_t usher_udp_receive(int fd, void *buffer, size_t size, int flags, struct usher_udp_path *ret_path);

/*
 * usher_udp_send() - a datagram to a client, from where the client had sent its own
 * @fd:            the socket that received it, or another one that is bound to the same port
 * @buffer, @size: the datagram
 * @flags:         of sendmsg(2): MSG_DONTWAIT, MSG_CONFIRM
 * @path:          of usher_udp_receive(). It can be kept and used again
 *
 * The source port is always that of the socket. The source address is chosen by the kernel when path->original is
 * multicast or AF_UNSPEC.
 *
 * Errors: -EADDRNOTAVAIL when the client had sent to another port than the socket is bound to, so that the answer would
 * leave from the wrong one; -EINVAL or -ENETUNREACH when the source address is not local (any more) or no route leads
 * to the client; -EAFNOSUPPORT for a path of another family; other errors of sendmsg(2).
 *
 * Return: @size or a negative errno.
 */
ssize_t usher_udp_send(int fd, const void *buffer, size_t size, int flags, const struct usher_udp_path *path);

/*
 * usher_udp_flow() - a connected socket for one client
 * @path:  of usher_udp_receive()
 * @flags: SOCK_NONBLOCK or 0
 *
 * It is bound to the address and port to which the client sent, and connected to the client: recv(2) and send(2) do,
 * and port ranges and other ports than that of the service's socket work. The kernel gives it every later datagram of
 * this client to this address, before any rule; those that came before wait in the first socket. Rules, and restarts of
 * the broker or of the service, do not move it. It ends when it is closed.
 *
 * The address must be local and the port one that the process may bind (below 1024: CAP_NET_BIND_SERVICE, see
 * net.ipv4.ip_unprivileged_port_start). Other sockets that are bound to the same address and port, or to the port of
 * every address, must have SO_REUSEADDR, which this one has.
 *
 * Errors: -EINVAL for unknown flags, or a path without original; -EACCES for the port; -EADDRINUSE; -EADDRNOTAVAIL;
 * other errors of socket(2), bind(2) and connect(2).
 *
 * Return: a descriptor with close-on-exec, the caller's to close, or a negative errno.
 */
int usher_udp_flow(const struct usher_udp_path *path, int flags);

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

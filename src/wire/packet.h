/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One packet of an AF_UNIX SOCK_SEQPACKET (or SOCK_DGRAM) socket, with the descriptors and credentials it
 * carries
 *
 * packet.c is the one file that calls recvmsg(2). It handles everything that a hostile sender can do with a
 * packet: truncation of text and of control data, several control messages, unwanted descriptors, a packet of
 * zero bytes that carries descriptors (which looks like end-of-file to a plain read). All descriptors are
 * close-on-exec.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "../util/error.h"

/* Linux 6.5 (include/uapi/asm-generic/socket.h); the C library of Debian 12 does not have it. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

#define PACKET_TEXT_MAX 4096U /* bytes of text in one packet, in both directions */
#define PACKET_FDS_MAX 253U   /* SCM_MAX_FD of the kernel (include/net/scm.h) */

/* Outcomes of packet_receive() besides 0 */
enum {
	PACKET_REFUSED = REFUSED, /* a packet came and was dropped; the refusal says why */
	PACKET_AGAIN,		  /* nothing there yet (EAGAIN, EINTR) */
	PACKET_END,		  /* the other end is closed */
};

struct packet {
	char text[PACKET_TEXT_MAX + 1]; /* NUL-terminated after `size` bytes */
	size_t size;
	int fds[PACKET_FDS_MAX]; /* owned by the packet until taken with TAKE_FD */
	size_t n_fds;
	bool has_credentials;
	struct ucred credentials; /* valid if has_credentials: needs SO_PASSCRED on the receiver */
	int pidfd;		  /* of the sender, or -1: needs SO_PASSPIDFD on the receiver and Linux 6.5 */
};

#define PACKET_NULL ((struct packet){.pidfd = -1})

/*
 * packet_receive() - receive one packet
 * @socket:  receiver; MSG_DONTWAIT is the socket's own O_NONBLOCK
 * @packet:  PACKET_NULL or a packet that was deinitialised
 * @refusal: filled when PACKET_REFUSED is returned
 *
 * On PACKET_REFUSED the packet has no text, but it has the descriptors and credentials that came: the caller
 * deinitialises it, as on 0. On any other result it is left empty. Refused: text longer than PACKET_TEXT_MAX
 * (EMSGSIZE); control data that was cut (EMFILE when the receiver has no descriptor left or an LSM withheld one:
 * the text names both). message_parse(), not this function, checks for NUL bytes in the text.
 *
 * A packet of zero bytes is received like any other, and message_parse() refuses it. Without control data it
 * cannot be told from end-of-file: it is PACKET_END. A receiver with SO_PASSCRED gets control data with every
 * packet, so there PACKET_END always means the end.
 *
 * Return: 0, PACKET_REFUSED, PACKET_AGAIN, PACKET_END, or a negative errno of recvmsg(2).
 */
int packet_receive(int socket, struct packet *packet, struct refusal *refusal);

/*
 * packet_receive_with_pidfd() - the same, with the pidfd of the sender where the kernel has it (Linux 6.5)
 *
 * SO_PASSPIDFD is on for this call only: packet_peek() could not tell a pidfd from descriptors.
 */
int packet_receive_with_pidfd(int socket, struct packet *packet, struct refusal *refusal);

/*
 * packet_peek() - text and credentials of the next packet, which stays where it is with its descriptors
 * @ret_has_fds: whether there are any; set on 0 and PACKET_REFUSED
 *
 * No descriptor comes into this process, not even for a moment that could make it the last one to have it, as long as
 * nobody else receives from the socket meanwhile. The receiver needs SO_PASSCRED and must not have SO_PASSPIDFD.
 *
 * Return: as packet_receive().
 */
int packet_peek(int socket, struct packet *packet, bool *ret_has_fds, struct refusal *refusal);

/*
 * packet_skip() - throw the next packet away; its descriptors never come into the table of this process, which drops them
 *
 * Return: whether there was one, and it was not empty.
 */
bool packet_skip(int socket);

/* packet_deinit() - close what is left in a packet; it can be used again */
void packet_deinit(struct packet *packet);

/*
 * packet_send() - send one packet
 * @text, @size: 1 to PACKET_TEXT_MAX bytes, else -EINVAL or -EMSGSIZE
 * @fds, @n_fds: at most PACKET_FDS_MAX descriptors, which stay the caller's, else -E2BIG
 *
 * Never raises SIGPIPE. Return: 0, or a negative errno of sendmsg(2): -EAGAIN when the queue of a
 * non-blocking socket is full, -EPIPE or -ECONNRESET when the other end is gone, -ETOOMANYREFS, -EBADF…
 */
int packet_send(int socket, const char *text, size_t size, const int *fds, size_t n_fds);

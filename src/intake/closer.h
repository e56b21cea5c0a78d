/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Closing descriptors that clients sent
 *
 * close(2) can block: on a TCP socket with SO_LINGER, or for the server of a FUSE file system, which may be the client.
 * A client could stop the broker that way. So the broker closes every descriptor that may block in a thread of its own,
 * and waits for that thread CLOSER_PATIENCE_MS at most. It ignores a uid with CLOSER_STUCK_MAX threads that hang until
 * they end.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../wire/packet.h"

#define CLOSER_PATIENCE_MS 50
#define CLOSER_MOMENT_USEC 1000
#define CLOSER_STUCK_MAX 4U

/* closer_close() - close the descriptors of a packet of this uid; the packet is deinitialised */
void closer_close(struct packet *packet, uid_t uid);

/* closer_is_stuck() - whether CLOSER_STUCK_MAX threads hang on descriptors that this uid sent */
bool closer_is_stuck(uid_t uid);

/*
 * closer_skip() - drop the next packet if its sender is stuck, without receiving its descriptors
 *
 * Return: whether it was.
 */
bool closer_skip(int socket);

/*
 * closer_hang_up_consume() - close the socket of a client; its queue may have packets with descriptors
 *
 * The queue is received first: unread packets would make the client's recvmsg(2) fail with ECONNRESET before it gets the
 * last answer.
 */
void closer_hang_up_consume(int socket, uid_t uid);

/* closer_close_door_consume() - close a socket that clients connect or send to; accepts -1 */
void closer_close_door_consume(int socket);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Closing what strangers sent
 *
 * close(2) waits as long as the file likes: for the server of a FUSE file system, who may be the client, for a TCP socket
 * with SO_LINGER. A broker that waited would be the client's. So what may wait is closed in a thread of its own, and the
 * broker looks after it for CLOSER_PATIENCE_MS only. A uid with CLOSER_STUCK_MAX threads that hang is not listened to
 * until they end.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "../wire/packet.h"

#define CLOSER_PATIENCE_MS 50
#define CLOSER_MOMENT_USEC 1000
#define CLOSER_STUCK_MAX 4U

/* closer_close() - close the descriptors of a packet of this uid; the packet is deinitialised */
void closer_close(struct packet *packet, uid_t uid);

/* closer_is_stuck() - whether too much of what this uid sent cannot be closed */
bool closer_is_stuck(uid_t uid);

/*
 * closer_skip() - throw the next packet away if its sender is stuck, without receiving its descriptors
 *
 * Return: whether it was.
 */
bool closer_skip(int socket);

/*
 * closer_hang_up_consume() - close the socket of a client, in whose queue packets with descriptors may be
 *
 * What is in the queue is received first: left unread it would have the client told ECONNRESET before the last answer.
 */
void closer_hang_up_consume(int socket, uid_t uid);

/* closer_close_door_consume() - close a socket that strangers connect or send to; accepts -1 */
void closer_close_door_consume(int socket);

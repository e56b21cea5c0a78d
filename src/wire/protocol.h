/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Words of the protocol of /run/usher/usher.sock. docs/protocol.md has their meaning. */

#define PROTOCOL_VERSION 1U

/* The socket of the default instance; instance.h has those of the others. */
#define PROTOCOL_SOCKET_PATH "/run/usher/usher.sock"

/* Name of the environment variable that holds another path of the socket. */
#define PROTOCOL_SOCKET_VARIABLE "USHER_SOCKET"

/* The most sockets one hand-in may carry; the refusal of more is E2BIG. */
#define PROTOCOL_HAND_IN_MAX 64U

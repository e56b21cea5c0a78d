/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Constants of the protocol of /run/usher/usher.sock; docs/protocol.md describes them */

#define PROTOCOL_VERSION 1U

/* The socket of the default instance; instance.h has those of the others. */
#define PROTOCOL_SOCKET_PATH "/run/usher/usher.sock"

/* Name of the environment variable that holds another path of the socket. */
#define PROTOCOL_SOCKET_VARIABLE "USHER_SOCKET"

/* The most sockets that one hand-in may carry; more are refused with E2BIG. */
#define PROTOCOL_HAND_IN_MAX 64U

/* The most names one request may have; the refusal of more is E2BIG. */
#define PROTOCOL_NAMES_MAX PROTOCOL_HAND_IN_MAX

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reports once what the kernel's map does to the UDP sockets of services. */

#include "offer.h"

/* udp_note() - a socket is in the map. Only a UDP socket from which somebody reads is worth a note. */
void udp_note(struct broker *broker, const struct offered_socket *socket);

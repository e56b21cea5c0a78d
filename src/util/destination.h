/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Does a UDP service ask the kernel to which address each datagram was sent?
 *
 * Without that it cannot know, so that its replies leave from the address that the socket is bound to, or that the
 * route has. What it does with the answer cannot be seen from outside.
 */

#include <stdbool.h>

/* Bits of a set, which the maps store. The options of the socket, as ip(7) and ipv6(7) name them */
#define DESTINATION_IP_PKTINFO 0x01U
#define DESTINATION_IP_RECVORIGDSTADDR 0x02U
#define DESTINATION_IPV6_RECVPKTINFO 0x04U
#define DESTINATION_IPV6_RECVORIGDSTADDR 0x08U
#define DESTINATION_IPV6_2292PKTINFO 0x10U
#define DESTINATION_DROPS 0x40U	 /* its filter drops everything: a stand-in, for another of its group */
#define DESTINATION_LOOKED 0x80U /* without this bit, nobody has looked at the socket */

/* Longer than all of them */
#define DESTINATION_TEXT_MAX 128

/* destination_read() - look at a socket; Return: a set, 0 if it cannot be looked at */
unsigned destination_read(int fd);

/* destination_format() - "IP_PKTINFO IPV6_RECVPKTINFO", or "none"; "" for a socket that nobody has looked at */
const char *destination_format(unsigned set, char text[static DESTINATION_TEXT_MAX]);

/* destination_parse() - the inverse; unknown words are left out; Return: a set, 0 for NULL and for "" */
unsigned destination_parse(const char *text);

/* destination_is_asked() - does the service learn the address of a datagram of this family? */
bool destination_is_asked(unsigned set, int family);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* TCP or UDP over IPv4 or IPv6: the words for the protocol of usher.sock, and those for people */

#include <stdbool.h>
#include <stdint.h>

/* protocol_word() - "tcp" or "udp"; @protocol is IPPROTO_TCP or IPPROTO_UDP */
const char *protocol_word(int protocol);

/* protocol_from_word() - the inverse; false for another word, or NULL, which leaves @ret alone */
bool protocol_from_word(const char *word, uint8_t *ret);

/* protocol_name() - "TCP" or "UDP" */
const char *protocol_name(int protocol);

/* family_word() - "ipv4" or "ipv6"; @family is AF_INET or AF_INET6 */
const char *family_word(int family);

/* family_from_word() - the inverse; false for another word, or NULL, which leaves @ret alone */
bool family_from_word(const char *word, int *ret);

/* family_name() - "IPv4" or "IPv6" */
const char *family_name(int family);

/* transport_name() - "TCP over IPv4" */
const char *transport_name(int protocol, int family);

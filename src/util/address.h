/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* IP addresses, 4 or 16 bytes in network order, and endpoints: an address with a port. @family: AF_INET or AF_INET6 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* address_size() - in bytes; address_bits() - in bits */
size_t address_size(int family);
unsigned address_bits(int family);

/* address_is_any() - 0.0.0.0, :: */
bool address_is_any(int family, const uint8_t *address);

/* address_is_multicast() - 224.0.0.0/4, ff00::/8 */
bool address_is_multicast(int family, const uint8_t *address);

/* address_is_same() - compares two of one family */
bool address_is_same(int family, const uint8_t *a, const uint8_t *b);

/* address_format() - an address alone; @text of at least INET6_ADDRSTRLEN bytes */
const char *address_format(int family, const uint8_t *address, char *text);

/* "[…]:65535%" fits, with the name of a device (device_endpoint_format()). */
#define ENDPOINT_TEXT_MAX 80

/* endpoint_format() - "192.0.2.1:80" or "[2001:db8::1]:80"; @port in host order */
const char *endpoint_format(
	int family, const uint8_t *address, uint16_t port, char text[static ENDPOINT_TEXT_MAX]);

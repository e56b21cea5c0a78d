/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* IP address prefixes: parsing, formatting, matching. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "error.h"

/* "ffff:…:255.255.255.255/128" fits. */
#define PREFIX_TEXT_MAX 64

struct prefix {
	uint8_t family;	     /* AF_INET or AF_INET6 */
	uint8_t length;	     /* 0 to 32 or 128 */
	uint8_t address[16]; /* network order, IPv4 in the first 4 bytes and the rest zero */
};

/*
 * prefix_parse() - "192.0.2.0/24", "2001:db8::/48"; an address alone is a prefix of full length
 *
 * The caller removes brackets around an IPv6 address. Refused (EINVAL): host bits that are set, a v4-mapped IPv6 prefix
 * (::ffff:0:0/96 and longer), a scope id, anything that inet_pton(3) does not accept.
 *
 * Return: 0 or REFUSED; the text quotes the value and says what is wrong with it.
 */
int prefix_parse(const char *text, struct prefix *ret, struct refusal *refusal);

/* prefix_format() - the inverse; always with the length */
const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_MAX]);

/* prefix_is_address() - whether it is of full length; one of AF_UNSPEC, which is any address, is not */
bool prefix_is_address(const struct prefix *prefix);

/* prefix_contains() - whether an address (4 or 16 bytes, network order) has the prefix's family and is in it */
bool prefix_contains(const struct prefix *prefix, int family, const uint8_t *address);

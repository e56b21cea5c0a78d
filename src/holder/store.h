/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The service manager's descriptor store, in which held sockets survive the broker
 *
 * A socket is stored as "held/NAME/COOKIE" (the cookie in hexadecimal), which is no valid name in usher. The manager
 * gives everything back at the next start, as $LISTEN_FDS.
 *
 * $FDSTORE says how many sockets it takes: systemd 254 and newer set it, usherd.service sets it for older ones.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NAME_MAX 96

/* store_limit() - how many sockets the store takes; 0 when there is no store, or its size is not known */
size_t store_limit(void);

/* store_put() - Return: 0, also when there is no store, or a negative errno */
int store_put(const char *name, uint64_t cookie, int fd);

/* store_remove() - take a socket out; it need not be in the store */
void store_remove(const char *name, uint64_t cookie);

/*
 * store_barrier() - have a descriptor hang up when the service manager has done what it was asked for so far
 *
 * Return: the descriptor, or -1 when there is no store, or no barrier.
 */
int store_barrier(void);

/*
 * store_parse_name() - the name and the cookie in a descriptor's name
 * @ret_name: at least NAME_LENGTH_MAX + 1 bytes (name.h)
 *
 * Return: whether it is the name of a held socket.
 */
bool store_parse_name(const char *text, char *ret_name, uint64_t *ret_cookie);

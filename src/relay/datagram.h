/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A datagram with the address to which it was sent, and an answer from there */

#include <stddef.h>
#include <sys/types.h>

#include "endpoint.h"

struct datagram_path {
	struct sockaddr_storage
		peer; /* the client, as the kernel writes it, with the device of a link-local address */
	struct endpoint client, server;
};

/* datagram_prepare() - have the kernel say where datagrams were sent. Return: 0 or a negative errno */
int datagram_prepare(int fd, int *ret_family, uint16_t *ret_port);

/* datagram_receive() - without waiting. Return: its size, or -1 and errno */
ssize_t datagram_receive(int fd, void *buffer, size_t size, struct datagram_path *ret);

/* datagram_send() - an answer, from the address to which the client sent. Return: 0 or a negative errno */
int datagram_send(int fd, const void *buffer, size_t size, const struct datagram_path *path);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The socket units of the service manager, those that are not active too: where each listens, or would listen */

#include <stdbool.h>
#include <stddef.h>

#include "../../scan/diag.h"
#include "manager.h"

/* A line ListenStream= or ListenDatagram= with an IP address */
struct socket_line {
	const char *unit; /* the name, borrowed from the list */
	bool active;	  /* it listens */
	uint8_t protocol, family;
	uint8_t address[16];
	uint16_t port;
	bool dual_stack; /* [::] without IPV6_V6ONLY: IPv4 too */
};

struct socket_units {
	struct socket_line *lines;
	size_t n;
	char *names;
};

#define SOCKET_UNITS_NULL ((struct socket_units){})

void socket_units_deinit(struct socket_units *units);

/*
 * socket_units_read() - ask for all of them, without those of other network namespaces
 * @ret: to be released on any result
 *
 * Refused and returned as by manager_get_properties().
 */
int socket_units_read(struct manager *manager, struct socket_units *ret, struct refusal *refusal);

/* socket_line_is_at() - is the socket bound to the address and port of the line? */
bool socket_line_is_at(const struct socket_line *line, const struct diag_socket *socket);

/* socket_line_wants() - would the line take the same port of the same address, or of a wildcard that has it? */
bool socket_line_wants(const struct socket_line *line, const struct diag_socket *socket);

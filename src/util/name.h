/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>

/* The longest name, in characters, without the terminating NUL. */
#define NAME_LENGTH_MAX 63

/* name_is_valid() - 1 to 63 characters of [A-Za-z0-9._@-], the first neither '.' nor '-' */
bool name_is_valid(const char *name);

/* What name_is_valid() requires, in words, for refusals */
#define NAME_RULE "a name is 1 to 63 characters of A-Z a-z 0-9 . _ @ -, not starting with . or -"

/* name_is_of_socket_unit() - does it end in .socket? That is what systemd calls sockets to which nobody gave a name. */
bool name_is_of_socket_unit(const char *name);

/* Why a socket has such a name, for refusals; %s is the name */
#define NAME_OF_SOCKET_UNIT                                                                                  \
	"systemd gives it to the sockets of %s, because FileDescriptorName= is missing there or invalid"

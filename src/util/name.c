/* SPDX-License-Identifier: BSD-3-Clause */
#include "name.h"

#include <string.h>

bool name_is_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-";
	size_t length = strlen(name);

	return length >= 1 && length <= NAME_LENGTH_MAX && strspn(name, allowed) == length &&
	       name[0] != '.' && name[0] != '-';
}

bool name_is_of_socket_unit(const char *name)
{
	static const char suffix[] = ".socket";
	size_t length = strlen(name);

	return length >= sizeof(suffix) && strcmp(name + length - (sizeof(suffix) - 1), suffix) == 0;
}

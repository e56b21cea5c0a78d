/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stdbool.h>

/* The longest name, in characters, without the terminating NUL. */
#define NAME_LENGTH_MAX 63

/* name_is_valid() - 1 to 63 characters of [A-Za-z0-9._@-], the first neither '.' nor '-' */
bool name_is_valid(const char *name);

/* What name_is_valid() requires, in words, for refusals */
#define NAME_RULE "a name is 1 to 63 characters of A-Z a-z 0-9 . _ @ -, not starting with . or -"

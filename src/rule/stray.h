/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Files in the folders of rules that nobody reads, though somebody may believe so: site.conf, web, web.rules */

#include <stdbool.h>

#include "problem.h"

/*
 * stray_is_name() - whether a file of this name is a stray one
 *
 * It is not, if it is named as a rule file; if it is hidden; or if its name says that it is an example, an explanation, or
 * a copy that an editor or a package manager keeps.
 */
bool stray_is_name(const char *name);

/*
 * stray_collect() - a warning for each stray file of a list of directories, in the order of names
 * @dirs: NULL-terminated; one that cannot be read counts as empty, because files_load() complains of it
 *
 * Return: 0 or -ENOMEM.
 */
int stray_collect(const char *const *dirs, struct problems *warnings);

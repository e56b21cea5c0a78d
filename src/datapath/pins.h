/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The pinned objects in the folder of an instance, each under a name (../pins/folder.h) */

#include "../pins/folder.h"

/* pins_get() - open a pinned object; Return: a descriptor, or a negative errno (-ENOENT: no such pin) */
int pins_get(const struct pins_folder *folder, const char *name);

/* pins_put() - pin an object; Return: 0 or a negative errno (-EEXIST) */
int pins_put(const struct pins_folder *folder, const char *name, int fd);

/* pins_replace() - pin an object in place of what is there, so that the name always leads to one of the two */
int pins_replace(const struct pins_folder *folder, const char *name, int fd);

/* pins_drop() - unpin; the pin need not exist */
int pins_drop(const struct pins_folder *folder, const char *name);

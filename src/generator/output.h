/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is written for systemd: that a socket unit starts its usher@, and a broker the unit that asks what it lacks */

#include "named.h"

/*
 * output_write() - write symbolic links and drop-ins
 * @folder: of the generator, systemd.generator(7)
 *
 * What is there already stays. Return: 0, or a negative errno, and then @ret_path is where it happened.
 */
int output_write(const char *folder, const struct named *named, char ret_path[static 4096]);

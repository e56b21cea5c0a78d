/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A row of bars, one for each sample: "▁▁▂▇█▂", or ".:-=+*#@" where the locale is not UTF-8 */

#include <stdbool.h>
#include <stddef.h>

#define SPARK_TEXT_MAX(n) ((n)*3 + 1)

/*
 * spark() - draw samples, the tallest bar for the greatest
 * @ret: of SPARK_TEXT_MAX(@n) bytes; a sample of 0 is a blank
 */
void spark(const double *samples, size_t n, bool utf8, char *ret);

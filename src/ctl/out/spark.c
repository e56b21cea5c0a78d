/* SPDX-License-Identifier: BSD-3-Clause */
#include "spark.h"

#include <string.h>

#include "../../util/macro.h"

void spark(const double *samples, size_t n, bool utf8, char *ret)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char plain[] = ".:-=+*#@";
	const size_t last = ARRAY_SIZE(bars) - 1;
	double greatest = 0;

	for (size_t i = 0; i < n; i++)
		if (samples[i] > greatest)
			greatest = samples[i];
	for (size_t i = 0; i < n; i++) {
		size_t level = greatest > 0 ? (size_t)(samples[i] / greatest * (double)last) : 0;

		if (samples[i] <= 0)
			*ret++ = ' ';
		else if (utf8)
			ret = stpcpy(ret, bars[level]);
		else
			*ret++ = plain[level];
	}
	*ret = '\0';
}

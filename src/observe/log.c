/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../util/text.h"

static void write_line(int priority, const char *format, va_list ap)
{
	char text[1024];

	(void)vsnprintf(text, sizeof(text), format, ap);
	text_make_printable(text);
	if (getenv("JOURNAL_STREAM"))
		(void)fprintf(stderr, "<%d>%s\n", priority, text);
	else
		(void)fprintf(stderr, "usherd: %s\n", text);
}

void log_message(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	write_line(priority, format, ap);
	va_end(ap);
}

void log_limited(int priority, const char *format, ...)
{
	static uint64_t window;
	static unsigned lines, dropped;
	struct timespec now;
	va_list ap;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (!window || (uint64_t)now.tv_sec >= window + LOG_LIMIT_SECONDS) {
		if (dropped)
			log_message(
				LOG_NOTICE, "%u messages were left out because they came too fast", dropped);
		window = (uint64_t)now.tv_sec;
		lines = dropped = 0;
	}
	if (lines++ >= LOG_LIMIT_LINES) {
		dropped++;
		return;
	}
	va_start(ap, format);
	write_line(priority, format, ap);
	va_end(ap);
}

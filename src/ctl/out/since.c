/* SPDX-License-Identifier: BSD-3-Clause */
#include "since.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "../../util/text.h"

static int to_seconds(const char *microseconds, time_t *ret)
{
	unsigned long number;
	int r;

	if (!microseconds)
		return -1;
	r = text_to_uint(microseconds, LONG_MAX, &number);
	if (r < 0)
		return r;
	*ret = (time_t)(number / 1000000);
	return 0;
}

const char *since_age(const char *microseconds, char text[static SINCE_TEXT_MAX])
{
	time_t then, now = time(NULL);
	long age;

	if (to_seconds(microseconds, &then) < 0)
		return NULL;
	age = then < now ? now - then : 0; /* the clock may have been set back */
	if (age < 60)
		(void)snprintf(text, SINCE_TEXT_MAX, "%lds", age);
	else if (age < 3600)
		(void)snprintf(text, SINCE_TEXT_MAX, "%ldmin", age / 60);
	else if (age < 86400)
		(void)snprintf(text, SINCE_TEXT_MAX, "%ldh%ldmin", age / 3600, age % 3600 / 60);
	else
		(void)snprintf(text, SINCE_TEXT_MAX, "%ldd%ldh", age / 86400, age % 86400 / 3600);
	return text;
}

const char *since_date(const char *microseconds, char text[static SINCE_TEXT_MAX])
{
	struct tm local;
	time_t then;

	if (to_seconds(microseconds, &then) < 0 || !localtime_r(&then, &local) ||
		strftime(text, SINCE_TEXT_MAX, "%Y-%m-%d %H:%M:%S %Z", &local) == 0)
		return NULL;
	return text;
}

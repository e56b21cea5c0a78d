/* SPDX-License-Identifier: BSD-3-Clause */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

int (refuse)(struct refusal *refusal, int error, const char *format, ...)
{
	va_list ap;

	refusal->error = error;
	va_start(ap, format);
	(void)vsnprintf(refusal->text, sizeof(refusal->text), format, ap);
	va_end(ap);
	text_make_printable(refusal->text);
	return REFUSED;
}

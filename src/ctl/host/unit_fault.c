/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit_fault.h"

#include <stdarg.h>
#include <stdio.h>

void unit_fault_put(char *text, size_t size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, size, format, ap);
	va_end(ap);
}

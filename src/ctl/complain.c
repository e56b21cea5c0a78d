/* SPDX-License-Identifier: BSD-3-Clause */
#include "complain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/client.h"
#include "../util/errno_name.h"
#include "../util/text.h"
#include "ctl.h"

void complain(const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	text_make_printable(text);
	(void)fprintf(stderr, "usherctl: %s\n", text);
}

/* the exit code for a positive errno of a refusal */
static int exit_code_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return EXIT_NO_PERMISSION;
	case EBADMSG:
		return EXIT_BAD_DATA;
	default:
		return EXIT_FAILURE;
	}
}

int complain_refusal(int r, const struct refusal *refusal, const char *format, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	if (r < 0) {
		complain("%s: %s (%s)", what, errno_text(-r), errno_name(-r));
		return EXIT_FAILURE;
	}
	complain("%s: %s", what, refusal->text);
	return r == CLIENT_ABSENT ? EXIT_NOT_RUNNING : exit_code_of(refusal->error);
}

int complain_memory(void)
{
	complain("out of memory (ENOMEM)");
	return EXIT_FAILURE;
}

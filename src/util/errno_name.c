/* SPDX-License-Identifier: BSD-3-Clause */
#include "errno_name.h"

#include <stdio.h>
#include <string.h>

#define KERNEL_ENOTSUPP 524 /* include/linux/errno.h */

const char *errno_name(int error)
{
	/* with the default TLS model libusher would need ld.so for __tls_get_addr() */
	static _Thread_local char text[24] __attribute__((tls_model("initial-exec")));
	const char *name = strerrorname_np(error);

	if (name)
		return name;
	if (error == KERNEL_ENOTSUPP)
		return "ENOTSUPP";
	(void)snprintf(text, sizeof(text), "errno %d", error);
	return text;
}

const char *errno_text(int error)
{
	const char *text = strerrordesc_np(error);

	return text ? text : "unknown error";
}

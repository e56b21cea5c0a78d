/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <stdio.h>

const char *device_format(uint32_t device, char text[static DEVICE_TEXT_MAX])
{
	if (!device)
		*text = '\0';
	else if (!if_indextoname(device, text))
		(void)snprintf(text, DEVICE_TEXT_MAX, "#%u", device);
	return text;
}

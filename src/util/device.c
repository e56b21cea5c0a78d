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

const char *device_endpoint_join(
	const char *endpoint, const char *device, char text[static ENDPOINT_TEXT_MAX])
{
	(void)snprintf(text, ENDPOINT_TEXT_MAX, "%s%s%s", endpoint, device ? "%" : "", device ? device : "");
	return text;
}

const char *device_endpoint_format(int family, const uint8_t *address, uint16_t port, uint32_t device,
	char text[static ENDPOINT_TEXT_MAX])
{
	char endpoint[ENDPOINT_TEXT_MAX], name[DEVICE_TEXT_MAX];

	return device_endpoint_join(endpoint_format(family, address, port, endpoint),
		device ? device_format(device, name) : NULL, text);
}

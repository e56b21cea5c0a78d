/* SPDX-License-Identifier: BSD-3-Clause */
#include "ingress.h"

#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "../host/route.h"
#include "../host/vrf.h"

/* The number of lo in every network namespace */
#define LOOPBACK 1

void ingress_split(
	const char *text, char endpoint[static INGRESS_ENDPOINT_MAX], char device[static IF_NAMESIZE + 1])
{
	const char *percent = strchrnul(text, '%'), *name = *percent ? percent + 1 : percent;
	size_t size = strcspn(name, ":]"); /* which the name of a device does not have */

	(void)snprintf(device, IF_NAMESIZE + 1, "%.*s", (int)size, name);
	(void)snprintf(endpoint, INGRESS_ENDPOINT_MAX, "%.*s%s", (int)(percent - text), text, name + size);
}

int ingress_find(struct asked *asked)
{
	_cleanup_(vrf_deinit) struct vrf_links links = VRF_LINKS_NULL;
	const struct vrf_link *vrf;
	struct refusal refusal;
	uint32_t device = 0;
	int r;

	asked->ingress = asked->device;
	if (!asked->device)
		return 0;
	if (asked->device == LOOPBACK) {
		r = route_find_device(asked->family, asked->local, &device, &refusal);
		if (!r && device)
			asked->ingress = device;
		return r < 0 ? r : 0;
	}
	r = vrf_read(&links, &refusal);
	vrf = r ? NULL : vrf_of(&links, asked->device);
	asked->by_vrf = vrf != NULL;
	if (vrf)
		asked->ingress = vrf->device;
	return r < 0 ? r : 0;
}

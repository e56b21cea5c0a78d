/* SPDX-License-Identifier: BSD-3-Clause */
#include "local_ports.h"

#include <errno.h>
#include <stdio.h>

#include "../../util/errno_name.h"
#include "../complain.h"

#define FOLDER "/proc/sys/net/ipv4/"

/* "8080,9148-9150", or nothing */
static void read_reserved(FILE *file, struct local_ports *ports)
{
	unsigned first, last;

	while (fscanf(file, "%u", &first) == 1) {
		if (fscanf(file, "-%u", &last) != 1)
			last = first;
		for (unsigned port = first; port <= last && port <= 65535; port++)
			ports->reserved[port / 8] |= (uint8_t)(1U << port % 8);
		if (fgetc(file) != ',')
			return;
	}
}

int local_ports_read(struct local_ports *ret, struct refusal *refusal)
{
	FILE *range = fopen(FOLDER "ip_local_port_range", "re"),
	     *reserved = fopen(FOLDER "ip_local_reserved_ports", "re");
	int error = range && reserved ? 0 : errno, first = 0, last = 0;

	*ret = (struct local_ports){};
	if (!error && fscanf(range, "%d %d", &first, &last) != 2)
		error = EBADMSG;
	if (!error)
		read_reserved(reserved, ret);
	if (range)
		(void)fclose(range);
	if (reserved)
		(void)fclose(reserved);
	if (error)
		return refuse(refusal, error, "cannot read " FOLDER "ip_local_port_range: %s (%s)",
			errno_text(error), errno_name(error));
	ret->first = (uint16_t)first;
	ret->last = (uint16_t)last;
	return 0;
}

bool local_ports_has(const struct local_ports *ports, unsigned port)
{
	return port >= ports->first && port <= ports->last && !(ports->reserved[port / 8] >> port % 8 & 1);
}

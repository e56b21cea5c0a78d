/* SPDX-License-Identifier: BSD-3-Clause */
#include "due.h"

#include <stdio.h>
#include <string.h>

void due_add_name(struct due *due, const char *name)
{
	if (due->name[0] && strcmp(due->name, name) != 0)
		due->all = true;
	else
		(void)snprintf(due->name, sizeof(due->name), "%s", name);
}

static void add_port(struct due *due, uint8_t protocol, uint16_t port, pid_t pid, bool is_again)
{
	size_t i = 0;

	while (i < due->n_ports && (due->ports[i].protocol != protocol || due->ports[i].port != port))
		i++;
	if (i == DUE_PORTS_MAX) {
		due->all = true;
	} else if (i < due->n_ports) {
		if (due->ports[i].pid != pid)
			due->ports[i].pid = 0;
		due->ports[i].is_again &= is_again;
	} else {
		due->ports[i].protocol = protocol;
		due->ports[i].port = port;
		due->ports[i].pid = pid;
		due->ports[i].is_again = is_again;
		due->n_ports++;
	}
}

void due_add_again(struct due *due, uint8_t protocol, uint16_t port)
{
	add_port(due, protocol, port, 0, true);
}

void due_add_listen(struct due *due, const struct usher_listen *listen)
{
	add_port(due, listen->protocol, listen->port, (pid_t)listen->pid, false);
	/* one that does not fit is left to the broker's timer */
	if (listen->early && due->n_early < DUE_EARLY_MAX)
		due->early[due->n_early++] = listen->cookie;
}

bool due_is_early(const struct due *due, uint64_t cookie)
{
	for (size_t i = 0; i < due->n_early; i++)
		if (due->early[i] == cookie)
			return true;
	return false;
}

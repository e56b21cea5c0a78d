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

static void add_port(struct due *due, const struct usher_listen *listen)
{
	size_t i = 0;

	while (i < due->n_ports &&
		(due->ports[i].protocol != listen->protocol || due->ports[i].port != listen->port))
		i++;
	if (i == DUE_PORTS_MAX) {
		due->all = true;
	} else if (i < due->n_ports) {
		if (due->ports[i].pid != (pid_t)listen->pid)
			due->ports[i].pid = 0;
	} else {
		due->ports[i].protocol = listen->protocol;
		due->ports[i].port = listen->port;
		due->ports[i].pid = (pid_t)listen->pid;
		due->n_ports++;
	}
}

void due_add_listen(struct due *due, const struct usher_listen *listen)
{
	add_port(due, listen);
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

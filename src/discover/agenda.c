/* SPDX-License-Identifier: BSD-3-Clause */
#include "agenda.h"

#include <stdio.h>
#include <string.h>

void agenda_add_name(struct agenda *agenda, const char *name)
{
	if (agenda->name[0] && strcmp(agenda->name, name) != 0)
		agenda->all = true;
	else
		(void)snprintf(agenda->name, sizeof(agenda->name), "%s", name);
}

static void add_port(struct agenda *agenda, uint8_t protocol, uint16_t port, pid_t pid, bool is_again)
{
	size_t i = 0;

	while (i < agenda->n_ports &&
		(agenda->ports[i].protocol != protocol || agenda->ports[i].port != port))
		i++;
	if (i == AGENDA_PORTS_MAX) {
		agenda->all = true;
	} else if (i < agenda->n_ports) {
		if (agenda->ports[i].pid != pid)
			agenda->ports[i].pid = 0;
		agenda->ports[i].is_again &= is_again;
	} else {
		agenda->ports[i].protocol = protocol;
		agenda->ports[i].port = port;
		agenda->ports[i].pid = pid;
		agenda->ports[i].is_again = is_again;
		agenda->n_ports++;
	}
}

void agenda_add_again(struct agenda *agenda, uint8_t protocol, uint16_t port)
{
	add_port(agenda, protocol, port, 0, true);
}

void agenda_add_listen(struct agenda *agenda, const struct usher_listen *listen)
{
	add_port(agenda, listen->protocol, listen->port, (pid_t)listen->pid, false);
	/* the timer of the broker evicts a socket whose cookie does not fit */
	if (listen->early && agenda->n_early < AGENDA_EARLY_MAX)
		agenda->early[agenda->n_early++] = listen->cookie;
}

bool agenda_has_early(const struct agenda *agenda, uint64_t cookie)
{
	for (size_t i = 0; i < agenda->n_early; i++)
		if (agenda->early[i] == cookie)
			return true;
	return false;
}

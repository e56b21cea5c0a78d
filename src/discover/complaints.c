/* SPDX-License-Identifier: BSD-3-Clause */
#include "complaints.h"

#include <stdio.h>
#include <string.h>

#include "../observe/observe.h"
#include "../util/address.h"
#include "../util/transport.h"

static bool is_known(const struct complaints *complaints, const struct scan_candidate *candidate)
{
	size_t n = complaints->n < COMPLAINTS_MAX ? complaints->n : COMPLAINTS_MAX;

	for (size_t i = 0; i < n; i++)
		if (complaints->items[i].cookie == candidate->socket.cookie &&
			complaints->items[i].error == candidate->refusal.error &&
			!strcmp(complaints->items[i].name, candidate->rule->name))
			return true;
	return false;
}

void complaints_report(struct complaints *complaints, const struct scan_candidate *candidate)
{
	const struct diag_socket *socket = &candidate->socket;
	const struct observed about = {
		.name = candidate->rule->name,
		.rule = candidate->rule->path,
		.protocol = socket->protocol,
		.family = socket->family,
		.address = socket->address,
		.address_family = socket->family,
		.port = socket->port,
		.cookie = socket->cookie,
		.reason = candidate->refusal.text,
		.error = candidate->refusal.error,
		.uid = socket->uid,
		.pid = candidate->owner.pid,
		.unit = candidate->owner.unit,
		.by_client = true,
	};
	char address[ENDPOINT_TEXT_MAX], process[64] = "";
	size_t at = complaints->n % COMPLAINTS_MAX;

	if (is_known(complaints, candidate))
		return;
	complaints->n++;
	complaints->items[at].cookie = socket->cookie;
	complaints->items[at].error = candidate->refusal.error;
	(void)snprintf(
		complaints->items[at].name, sizeof(complaints->items[at].name), "%s", candidate->rule->name);
	if (candidate->owner.pid)
		(void)snprintf(process, sizeof(process), " (%s, pid %d)", candidate->owner.name,
			(int)candidate->owner.pid);
	observe(OBSERVE_PASSED_OVER, &about, "'%s': the %s socket at %s%s %s", candidate->rule->name,
		protocol_name(socket->protocol),
		endpoint_format(socket->family, socket->address, socket->port, address), process,
		candidate->refusal.text);
}

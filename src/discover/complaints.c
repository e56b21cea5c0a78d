/* SPDX-License-Identifier: BSD-3-Clause */
#include "complaints.h"

#include <stdio.h>
#include <string.h>

#include "../observe/observe.h"
#include "../util/address.h"
#include "../util/transport.h"

static bool is_known(const struct complaints *complaints, const struct complaint *complaint)
{
	size_t n = complaints->n < COMPLAINTS_MAX ? complaints->n : COMPLAINTS_MAX;

	for (size_t i = 0; i < n; i++)
		if (complaints->items[i].cookie == complaint->cookie &&
			complaints->items[i].error == complaint->error &&
			!strcmp(complaints->items[i].name, complaint->name))
			return true;
	return false;
}

void complaints_report(
	struct complaints *complaints, const struct rule *rule, const struct complaint *complaint)
{
	const struct observed about = {
		.name = complaint->name,
		.rule = rule->path,
		.protocol = complaint->protocol,
		.family = complaint->family,
		.address = complaint->address,
		.address_family = complaint->family,
		.port = complaint->port,
		.cookie = complaint->cookie,
		.reason = complaint->text,
		.error = complaint->error,
		.uid = complaint->uid,
		.pid = complaint->pid,
		.unit = complaint->unit,
		.by_client = true,
	};
	char address[ENDPOINT_TEXT_MAX], process[64] = "";
	size_t at = complaints->n % COMPLAINTS_MAX;

	if (is_known(complaints, complaint))
		return;
	complaints->n++;
	complaints->items[at].cookie = complaint->cookie;
	complaints->items[at].error = complaint->error;
	(void)snprintf(complaints->items[at].name, sizeof(complaints->items[at].name), "%s", complaint->name);
	if (complaint->pid)
		(void)snprintf(
			process, sizeof(process), " (%s, pid %d)", complaint->process, (int)complaint->pid);
	observe(OBSERVE_PASSED_OVER, &about, "'%s': the %s socket at %s%s %s", complaint->name,
		protocol_name(complaint->protocol),
		endpoint_format(complaint->family, complaint->address, complaint->port, address), process,
		complaint->text);
}

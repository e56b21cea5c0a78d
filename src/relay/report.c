/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <sys/un.h>

#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/errno_name.h"

/* The settings of a connection may not be those of which the tally has the backends. */
static struct tally_backend *find(
	struct connection_home *home, const struct settings *settings, size_t backend)
{
	return backend < home->tally->n_backends && settings == home->current
		       ? &home->tally->backends[backend]
		       : NULL;
}

void report_reached(struct connection_home *home, struct settings *settings, size_t backend)
{
	struct tally_backend *tally = find(home, settings, backend);

	if (tally) {
		tally->connected++;
		tally->last_error = 0;
		tally->last_usec = clock_realtime_usec();
	}
	if (!settings->backends[backend].failing)
		return;
	settings->backends[backend].failing = false;
	observe(OBSERVE_REACHED, &(struct observed){.name = home->name, .rule = settings->rule.path},
		"the backend %s can be reached again", settings->rule.relay.backends[backend].text);
}

static const char *find_remedy(const struct rule_backend *backend, int error)
{
	switch (error) {
	case ENETUNREACH:
	case EADDRNOTAVAIL:
		return "the network namespace of the relay has no route to it: see NetworkNamespacePath= of the unit";
	case EPERM:
	case EACCES:
		return backend->family == AF_UNIX
			       ? "let the user of the relay write to the socket: see SupplementaryGroups= of the unit"
			       : "see Transparent= in usher.rules(5), and packet filters";
	case EAFNOSUPPORT:
		return "the client has an address of the other family, which Transparent= cannot use";
	case ENOENT:
		return "start the service that makes this socket";
	default:
		return "start the service there, or correct Connect=";
	}
}

void report_failed(struct connection_home *home, struct settings *settings, size_t backend, int error)
{
	const struct rule_backend *rule = &settings->rule.relay.backends[backend];
	struct tally_backend *tally = find(home, settings, backend);

	if (tally) {
		tally->failed++;
		tally->last_error = (uint32_t)error;
		tally->last_usec = clock_realtime_usec();
	}
	if (settings->backends[backend].failing)
		return;
	settings->backends[backend].failing = true;
	observe(OBSERVE_UNREACHABLE,
		&(struct observed){.name = home->name, .rule = settings->rule.path, .error = error},
		"cannot connect to the backend %s: %s (%s); %s", rule->text, errno_text(error),
		errno_name(error), find_remedy(rule, error));
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a relay does, as [Relay] of its rule says
 *
 * A connection keeps the settings that it began with; the last one frees them. A reload makes new ones for new
 * connections.
 */

#include <sys/socket.h>

#include "../rule/rule.h"
#include "../util/error.h"

struct settings_backend {
	struct sockaddr_storage address;
	socklen_t size;
	bool failing; /* the last attempt failed, as was reported */
};

struct settings {
	unsigned n_users;
	struct rule rule;
	struct settings_backend backends[RULE_BACKENDS_MAX];
};

/*
 * settings_load() - read the rule of a name
 * @directories: of rule files, the strongest first
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int settings_load(
	const char *const *directories, const char *name, struct settings **ret, struct refusal *refusal);

/* settings_ref() - another user; settings_unref() - one less, the last one frees them; accepts NULL */
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);

/* settings_trust() - whether the peer of a connection is one whose PROXY header counts */
bool settings_trust(const struct settings *settings, const struct sockaddr_storage *peer);

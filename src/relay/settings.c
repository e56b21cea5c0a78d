/* SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "../rule/file.h"
#include "../rule/files.h"
#include "endpoint.h"

static void set_backend(const struct rule_backend *rule, struct settings_backend *backend)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&backend->address;
	size_t length = strlen(rule->text);

	if (rule->family != AF_UNIX) {
		backend->size = endpoint_set(&backend->address, rule->family, rule->address, rule->port);
		return;
	}
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, rule->text, length); /* the parser has compared its length */
	backend->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (rule->text[0] == '@')
		local->sun_path[0] = '\0';
	else
		backend->size++;
}

static int refuse_missing(int r, const char *const *directories, const char *name, struct refusal *refusal)
{
	if (r == FILE_MASKED)
		return refuse(refusal, ENOENT,
			"the rule file of '%s' is masked (ENOENT); remove the empty file or the link that masks it",
			name);
	return refuse(refusal, ENOENT,
		"there is no rule file of '%s' (ENOENT); write %s/%s.rule with Connect= under [Relay]", name,
		directories[0], name);
}

static int refuse_bad(const struct problems *problems, struct refusal *refusal)
{
	char text[480];

	return refuse(refusal, EINVAL, "%s", problem_format(&problems->items[0], text, sizeof(text)));
}

int settings_load(
	const char *const *directories, const char *name, struct settings **ret, struct refusal *refusal)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct settings *settings = calloc(1, sizeof(*settings));
	int r;

	if (!settings)
		return -ENOMEM;
	r = files_load_one(directories, name, &settings->rule, &problems);
	if (!r && !settings->rule.relay.present) {
		r = refuse(refusal, ENOENT,
			"%s has no section [Relay] (ENOENT); write Connect= under it, with the address of the backend",
			settings->rule.path);
		rule_deinit(&settings->rule);
	} else if (r > 0) {
		r = problems.n ? refuse_bad(&problems, refusal)
			       : refuse_missing(r, directories, name, refusal);
	}
	if (r) {
		free(settings);
		return r;
	}
	for (size_t i = 0; i < settings->rule.relay.n_backends; i++)
		set_backend(&settings->rule.relay.backends[i], &settings->backends[i]);
	settings->n_users = 1;
	*ret = settings;
	return 0;
}

struct settings *settings_ref(struct settings *settings)
{
	settings->n_users++;
	return settings;
}

void settings_unref(struct settings *settings)
{
	if (!settings || --settings->n_users)
		return;
	rule_deinit(&settings->rule);
	free(settings);
}

bool settings_trust(const struct settings *settings, const struct sockaddr_storage *peer)
{
	const struct rule_relay *relay = &settings->rule.relay;
	struct endpoint endpoint;

	if (!relay->n_proxies || !endpoint_get(peer, &endpoint))
		return false;
	for (size_t i = 0; i < relay->n_proxies; i++)
		if (prefix_contains(&relay->proxies[i], endpoint.family, endpoint.address))
			return true;
	return false;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "named_rule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../rule/fault.h"
#include "../util/name.h"

static int check_name(const char *name, struct refusal *refusal)
{
	if (name_is_valid(name))
		return 0;
	return refuse(refusal, EINVAL, "'%s' is not a name (EINVAL); %s", name, NAME_RULE);
}

/* "web.socket": the name that systemd gives to sockets of a unit without a (valid) FileDescriptorName= */
static int refuse_socket_unit(const struct broker *broker, const char *name, struct refusal *refusal)
{
	const char *folder = broker->instance->rule_dirs[0];
	char stem[NAME_LENGTH_MAX + 1];

	(void)snprintf(stem, sizeof(stem), "%.*s", (int)(strrchr(name, '.') - name), name);
	if (rule_set_find(broker->generation->rules, stem))
		return refuse(refusal, ENOENT,
			"there is no rule '%s' (ENOENT); " NAME_OF_SOCKET_UNIT
			": set FileDescriptorName=%s in %s and restart it",
			name, name, stem, name);
	return refuse(refusal, ENOENT,
		"there is no rule '%s' (ENOENT); " NAME_OF_SOCKET_UNIT
		": set it to the name of the rule and restart %s, or write %s/%s.rule and run 'usherctl reload'",
		name, name, name, folder, name);
}

/* Not even root's: what the file says of Bound=, of [Access], or of the whole rule, may not be what its copy says. */
int named_rule_check_fault(const struct broker *broker, const char *name, struct refusal *refusal)
{
	const char *fault = fault_find(broker->generation->rules, name);

	if (!fault)
		return 0;
	return refuse(refusal, EBADMSG,
		"'%s' takes no sockets, because its rule could not be read when the broker started (EBADMSG): %s; fix that, run 'usherctl reload', and hand in again",
		name, fault);
}

static int refuse_missing(const struct broker *broker, const char *name, struct refusal *refusal)
{
	if (name_is_of_socket_unit(name))
		return refuse_socket_unit(broker, name, refusal);
	return refuse(refusal, ENOENT,
		"there is no rule '%s' (ENOENT); write %s/%s.rule and run 'usherctl reload'", name,
		broker->instance->rule_dirs[0], name);
}

int named_rule_find(
	const struct broker *broker, const char *name, const struct rule **ret, struct refusal *refusal)
{
	int r = check_name(name, refusal);

	if (!r)
		r = named_rule_check_fault(broker, name, refusal);
	if (r)
		return r;
	*ret = rule_set_find(broker->generation->rules, name);
	return *ret ? 0 : refuse_missing(broker, name, refusal);
}

int named_rule_check_access(const struct broker *broker, const char *name, const struct identity *identity,
	struct refusal *refusal)
{
	const struct rule *rule;
	int r = check_name(name, refusal);

	if (r || !identity->uid)
		return r;
	r = named_rule_check_fault(broker, name, refusal);
	if (r)
		return r;
	rule = rule_set_find(broker->generation->rules, name);
	if (rule)
		return access_check(broker->generation->access, rule, identity, refusal);
	return refuse_missing(broker, name, refusal);
}

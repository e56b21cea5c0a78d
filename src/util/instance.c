/* SPDX-License-Identifier: BSD-3-Clause */
#include "instance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "name.h"

#define INSTANCE_NAME_MAX 31

int instance_init(struct instance *instance, const char *name)
{
	static const char *const roots[INSTANCE_RULE_DIRS] = {"/etc", "/run", "/usr/local/lib", "/usr/lib"};
	char word[sizeof("usher-") + INSTANCE_NAME_MAX] = "usher";

	if (name && *name) {
		if (!name_is_valid(name) || strlen(name) > INSTANCE_NAME_MAX)
			return -EINVAL;
		(void)snprintf(word, sizeof(word), "usher-%s", name);
	}
	(void)snprintf(instance->run, sizeof(instance->run), "/run/%s", word);
	(void)snprintf(instance->socket, sizeof(instance->socket), "/run/%s/usher.sock", word);
	(void)snprintf(instance->notify, sizeof(instance->notify), "/run/%s/notify", word);
	(void)snprintf(instance->in_force, sizeof(instance->in_force), "/run/%s/in-force", word);
	(void)snprintf(instance->pins, sizeof(instance->pins), "/sys/fs/bpf/%s", word);
	for (unsigned i = 0; i < INSTANCE_RULE_DIRS; i++) {
		(void)snprintf(
			instance->rules[i], sizeof(instance->rules[i]), "%s/%s/rules.d", roots[i], word);
		instance->rule_dirs[i] = instance->rules[i];
	}
	instance->rule_dirs[INSTANCE_RULE_DIRS] = NULL;
	return 0;
}

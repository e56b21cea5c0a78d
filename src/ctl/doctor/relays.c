/* SPDX-License-Identifier: BSD-3-Clause */

/* Relays: whether they reach a backend, are full, or are in a network namespace that has gone */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../util/cleanup.h"
#include "../../util/errno_name.h"
#include "../../util/macro.h"
#include "../../util/netns.h"
#include "../out/since.h"
#include "../view/relays.h"
#include "doctor.h"

/* Return: the network namespace of a process; 0 if it cannot be seen. */
static unsigned long find_namespace(pid_t pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat(path, &st) < 0 ? 0 : (unsigned long)st.st_ino;
}

static bool is_mounted(unsigned long inode)
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	char name[64];
	size_t size = 0;
	bool found = !mounts; /* not seen is not gone */

	(void)snprintf(name, sizeof(name), " net:[%lu] ", inode);
	while (mounts && !found && getline(&line, &size, mounts) > 0)
		found = strstr(line, name);
	return found;
}

/* Whether no other process is in a namespace, and no file keeps it: its container has ended, or has another one now. */
static bool is_deserted(pid_t pid, unsigned long inode)
{
	_cleanup_(closedirp) DIR *processes = opendir("/proc");
	const struct dirent *entry;

	if (!processes || is_mounted(inode))
		return false;
	while ((entry = readdir(processes))) {
		int other = atoi(entry->d_name);

		if (other > 0 && other != pid && find_namespace(other) == inode)
			return false;
	}
	return true;
}

static void look_at_namespace(struct doctor *doctor, const char *name, const struct tally *tally)
{
	unsigned long inode = doctor->root ? find_namespace((pid_t)tally->pid) : 0;

	if (!netns_is_other(inode) || !is_deserted((pid_t)tally->pid, inode))
		return;
	doctor_found(doctor, REPORT_FAIL,
		"the relay of '%s' (pid %" PRId64
		") is alone in its network namespace: that of the backend has gone, or is another one now",
		name, tally->pid);
	doctor_remedy(doctor,
		"restart it with 'systemctl restart usher-relay@%s.service'; BindsTo=, PartOf= and After= in its drop-in, with the unit that makes the namespace, do that in future",
		name);
}

static void look_at_backends(struct doctor *doctor, const char *name, const struct tally *tally,
	const struct tally_backend *backend)
{
	char usec[32], text[SINCE_TEXT_MAX];
	const char *age;

	(void)tally;
	(void)snprintf(usec, sizeof(usec), "%" PRIu64, backend->last_usec);
	age = since_age(usec, text);
	doctor_found(doctor, REPORT_FAIL, "the relay of '%s' cannot connect to %s: %s (%s), %s ago", name,
		backend->text, errno_text((int)backend->last_error), errno_name((int)backend->last_error),
		age ? age : "?");
	doctor_remedy(doctor,
		"start the service there, or correct Connect= of the rule; the address counts in the network namespace of usher-relay@%s.service",
		name);
}

static void look_at(struct doctor *doctor, const struct rule *rule)
{
	const struct tally_backend *backend = NULL;
	struct tally tally;
	enum relay_state state = relays_look(rule->name, &tally, &backend);

	if (state == RELAY_ABSENT)
		return;
	look_at_namespace(doctor, rule->name, &tally);
	if (state == RELAY_UNREACHED)
		look_at_backends(doctor, rule->name, &tally, backend);
	if (tally.limit && tally.open >= tally.limit) {
		doctor_found(doctor, REPORT_WARN,
			"the relay of '%s' has %" PRIu64
			" connections, as many as it may have: more clients wait",
			rule->name, tally.open);
		doctor_remedy(doctor,
			"raise MaxConnections= under [Relay], or set IdleTimeout= if connections stay open that nobody uses");
	}
}

static void check_relays(struct doctor *doctor)
{
	size_t before = doctor->report.n, n = 0;

	if (doctor_skips_unread(doctor))
		return;
	for (size_t i = 0; i < doctor->set->n_rules; i++)
		if (doctor->set->rules[i].relay.present) {
			look_at(doctor, &doctor->set->rules[i]);
			n++;
		}
	if (!n)
		doctor_found(doctor, REPORT_OK, "no rule has a section [Relay]");
	else if (doctor->report.n == before)
		doctor_found(doctor, REPORT_OK,
			"every relay that runs has reached its backend when it last tried");
}

const struct check relay_checks[] = {
	{"relays", check_relays},
	{NULL, NULL},
};

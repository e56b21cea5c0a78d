/* SPDX-License-Identifier: BSD-3-Clause */

/* What this instance and others have pinned in bpffs */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../pins/folder.h"
#include "../../util/cleanup.h"
#include "../../util/errno_name.h"
#include "../complain.h"
#include "doctor.h"

#define BPFFS "/sys/fs/bpf"
#define PROGRAMS_MAX 16
#define INSTANCES_MAX 32

static void look_at_orphans(struct doctor *doctor)
{
	const char *path = doctor->instance.pins;

	switch (pins_folder_look(path)) {
	case PINS_FOLDER_NONE:
		doctor_found(doctor, REPORT_OK, "nothing is pinned in %s", path);
		break;
	case PINS_FOLDER_UNKNOWN:
		doctor_found(doctor, REPORT_SKIP, "only root may read %s; run as root", path);
		break;
	case PINS_FOLDER_LEFTOVER:
		doctor_found(doctor, REPORT_INFO, "%s exists but has no link: nothing is dispatched", path);
		break;
	case PINS_FOLDER_ATTACHED:
		doctor_found(doctor, REPORT_WARN,
			"dispatch goes on without a broker, through the pins in %s: sockets that close go unnoticed, and none can be handed in",
			path);
		doctor_remedy(doctor, "systemctl start %s, or '%s detach' to end it", doctor->service,
			doctor->command);
	}
}

static void check_pins(struct doctor *doctor)
{
	const char *path = doctor->instance.pins;

	if (doctor->answer.r) {
		look_at_orphans(doctor);
		return;
	}
	switch (pins_folder_look(path)) {
	case PINS_FOLDER_ATTACHED:
		doctor_found(doctor, REPORT_OK, "dispatch outlives the broker, through the pins in %s", path);
		break;
	case PINS_FOLDER_UNKNOWN:
		doctor_found(doctor, REPORT_SKIP, "only root may read %s; run as root", path);
		break;
	default:
		doctor_found(doctor, REPORT_FAIL,
			"somebody removed the link in %s: when the broker ends, dispatch ends and the sockets are lost",
			path);
		doctor_remedy(doctor,
			"systemctl restart %s, then restart the services so that they hand their sockets in again",
			doctor->service);
	}
}

/* ---- programs of earlier generations */

struct programs {
	char names[PROGRAMS_MAX][64];
	uint64_t generations[PROGRAMS_MAX];
	size_t n;
};

/* For pins_folder_foreach_program() */
static int add_program(const char *name, uint64_t generation, void *userdata)
{
	struct programs *programs = userdata;

	if (programs->n == PROGRAMS_MAX)
		return 1;
	programs->generations[programs->n] = generation;
	(void)snprintf(programs->names[programs->n++], sizeof(programs->names[0]), "%.63s", name);
	return 0;
}

/* Ask after reading the folder: a switch that was under way then is finished, so no current program looks stale. */
static int ask_generation(struct doctor *doctor, uint64_t *ret, struct refusal *refusal)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct writer request;
	int r;

	client_begin(&request, REQUEST_STATUS);
	r = ask_open(&client, doctor->ctl, ASK_TIMEOUT_MS, refusal);
	if (!r)
		r = ask(&client, &request, NULL, 0, NULL, NULL, refusal);
	if (!r && !message_get(&client.message, KEY_GENERATION))
		r = refuse(refusal, ENODATA, "the broker does not report its generation (ENODATA)");
	if (!r)
		*ret = strtoull(ask_value(&client, KEY_GENERATION, "0"), NULL, 10);
	return r;
}

static void check_programs(struct doctor *doctor)
{
	const char *path = doctor->instance.pins;
	struct programs programs = {};
	struct refusal refusal;
	uint64_t current;
	bool stale = false;
	int r;

	if (doctor->answer.r) {
		doctor_found(doctor, REPORT_SKIP, "there is no broker to ask which program is in force");
		return;
	}
	if (doctor_skips_unprivileged(doctor))
		return;
	r = pins_folder_foreach_program(path, add_program, &programs);
	if (r < 0) {
		doctor_found(doctor, REPORT_SKIP, "%s cannot be read (%s)", path, errno_name(-r));
		return;
	}
	r = ask_generation(doctor, &current, &refusal);
	if (r) {
		doctor_found(doctor, REPORT_SKIP, "which program is in force was not looked at: %s",
			r < 0 ? errno_text(-r) : refusal.text);
		return;
	}
	for (size_t i = 0; i < programs.n; i++) {
		char pin[sizeof(doctor->instance.pins) + 80];
		struct stat st;

		(void)snprintf(pin, sizeof(pin), "%s/%s", path, programs.names[i]);
		if (programs.generations[i] == current || lstat(pin, &st) < 0)
			continue;
		stale = true;
		doctor_found(doctor, REPORT_WARN, "%s is pinned, but generation %" PRIu64 " is in force", pin,
			current);
		doctor_remedy(doctor, "rm %s, which frees its memory", pin);
	}
	if (programs.n == PROGRAMS_MAX)
		doctor_found(doctor, REPORT_SKIP,
			"of the pinned programs, only the first %d were looked at; see %s", PROGRAMS_MAX,
			path);
	else if (!stale)
		doctor_found(doctor, REPORT_OK, "only the program in force is pinned");
}

/* ---- other instances */

/* Return: whether it reported something */
static bool look_at_instance(struct doctor *doctor, const char *folder)
{
	const char *name = folder[strlen("usher")] ? folder + strlen("usher-") : "";
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct instance instance;
	struct refusal refusal;
	int r;

	if (instance_init(&instance, name) < 0 || strcmp(name, doctor->name) == 0)
		return false;
	r = client_open(&client, instance.socket, ASK_TIMEOUT_MS, &refusal);
	if (r != CLIENT_ABSENT) {
		doctor_found(doctor, REPORT_INFO, "another instance runs, with pins in %s", instance.pins);
		return true;
	}
	/* a unit that stops leaves its empty folder */
	if (pins_folder_look(instance.pins) != PINS_FOLDER_ATTACHED)
		return false;
	doctor_found(doctor, REPORT_WARN,
		"%s belongs to a broker that does not run: dispatch goes on through it", instance.pins);
	doctor_remedy(doctor, "systemctl start usherd%s%s.service, or 'usherctl%s%s detach' to remove it",
		*name ? "@" : "", name, *name ? " --instance " : "", name);
	return true;
}

static void check_instances(struct doctor *doctor)
{
	_cleanup_(closedirp) DIR *folder = NULL;
	const struct dirent *entry;
	size_t n = 0;

	if (doctor_skips_unprivileged(doctor))
		return;
	folder = opendir(BPFFS);
	if (!folder) {
		doctor_found(doctor, REPORT_SKIP, "the pins of other instances were not looked at: %s (%s)",
			BPFFS, errno_name(errno));
		return;
	}
	while (n < INSTANCES_MAX && (entry = readdir(folder)))
		if (strcmp(entry->d_name, "usher") == 0 ||
			strncmp(entry->d_name, "usher-", strlen("usher-")) == 0)
			n += look_at_instance(doctor, entry->d_name);
	if (!n)
		doctor_found(doctor, REPORT_OK, "no other instance of usher has pins");
}

const struct check pin_checks[] = {
	{"pins", check_pins},
	{"program-pins", check_programs},
	{"instances", check_instances},
	{},
};

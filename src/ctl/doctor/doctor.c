/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl doctor: does anything on the host keep usher from serving? */

#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../access/access.h"
#include "../../rule/files.h"
#include "../../util/netns.h"
#include "../../util/text.h"
#include "../../util/transport.h"
#include "../complain.h"
#include "../view/in_force.h"
#include "../view/rule_check.h"

static const struct {
	const char *section;
	const struct check *checks;
} sections[] = {
	{"kernel", kernel_checks},
	{"host", host_checks},
	{"host", unit_checks},
	{"host", named_unit_checks},
	{"broker", broker_checks},
	{"broker", pin_checks},
	{"rules", rule_checks},
	{"rules", match_checks},
	{"rules", path_checks},
	{"rules", filter_checks},
	{"sockets", socket_checks},
	{"sockets", device_checks},
	{"sockets", udp_checks},
	{"sockets", udp_map_checks},
	{"sockets", relay_checks},
};

static void doctor_deinit(struct doctor *doctor)
{
	report_deinit(&doctor->report);
	client_close(&doctor->client);
	seats_deinit(&doctor->seats);
	settings_deinit(&doctor->in_force);
	(void)image_free(doctor->image);
	if (doctor->set != doctor->files)
		(void)rule_set_free(doctor->set);
	(void)rule_set_free(doctor->files);
	problems_deinit(&doctor->problems);
	manager_deinit(&doctor->manager);
	free(doctor->sockets);
}

bool doctor_skips_unprivileged(struct doctor *doctor)
{
	if (!doctor->root)
		doctor_found(doctor, REPORT_SKIP, "only root can see this; run as root");
	return !doctor->root;
}

bool doctor_skips_unanswered(struct doctor *doctor)
{
	if (doctor->answer.r)
		doctor_found(doctor, REPORT_SKIP, "there is no broker to ask");
	else if (doctor->list.r)
		doctor_found(doctor, REPORT_SKIP, "the broker does not list its sockets and rules: %s",
			doctor->list.why.text);
	return doctor->answer.r || doctor->list.r;
}

bool doctor_skips_unread(struct doctor *doctor)
{
	if (!doctor->image)
		doctor_found(doctor, REPORT_SKIP, "the rule files have errors");
	return !doctor->image;
}

bool doctor_skips_elsewhere(struct doctor *doctor)
{
	if (doctor->other_network)
		doctor_found(doctor, REPORT_SKIP, "the broker serves another network namespace");
	else if (doctor->dump.r)
		doctor_found(doctor, REPORT_SKIP, "%s", doctor->dump.why.text);
	return doctor->other_network || doctor->dump.r;
}

bool doctor_skips_sockets(struct doctor *doctor)
{
	return doctor_skips_unanswered(doctor) || doctor_skips_elsewhere(doctor);
}

bool doctor_seat_is_udp(const struct seat *seat)
{
	uint8_t protocol;

	return protocol_from_word(seat->protocol, &protocol) && protocol == IPPROTO_UDP;
}

bool doctor_serves_udp(const struct seat *seat)
{
	return doctor_seat_is_udp(seat) && seat->n_places;
}

bool doctor_has_no_udp(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->seats.n; i++)
		if (doctor_serves_udp(&doctor->seats.items[i]))
			return false;
	doctor_found(doctor, REPORT_OK, "no UDP socket is handed in");
	return true;
}

unsigned long doctor_number(const struct doctor *doctor, enum message_key key)
{
	unsigned long number;

	return text_to_uint(ask_value(&doctor->client, key, "0"), ~0UL, &number) < 0 ? 0 : number;
}

static int compare_cookies(const void *a, const void *b)
{
	const struct diag_socket *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

const struct diag_socket *doctor_find(const struct doctor *doctor, const struct listed_place *place)
{
	const char *cookie = place->fields[PLACE_COOKIE];
	const struct diag_socket key = {.cookie = cookie ? strtoull(cookie, NULL, 16) : 0};

	if (!doctor->n_sockets)
		return NULL;
	return bsearch(&key, doctor->sockets, doctor->n_sockets, sizeof(key), compare_cookies);
}

const struct diag_socket *doctor_serving(const struct doctor *doctor, const struct seat *seat)
{
	for (size_t i = 0; i < seat->n_places; i++)
		if (doctor_find(doctor, seat->places[i]))
			return doctor_find(doctor, seat->places[i]);
	return NULL;
}

int doctor_read(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* ---- what the checks look at */

/* In another PID namespace, the pid that the broker reports may be that of another process. */
static pid_t find_process(const struct doctor *doctor)
{
	unsigned long pid = doctor_number(doctor, KEY_PID);
	char path[64], name[32];

	(void)snprintf(path, sizeof(path), "/proc/%lu/comm", pid);
	return doctor_read(path, name, sizeof(name)) == 0 && strcmp(name, "usherd") == 0 ? (pid_t)pid : 0;
}

static int ask_broker(struct doctor *doctor)
{
	struct writer request;
	int r;

	r = ask_open(&doctor->client, doctor->ctl, ASK_TIMEOUT_MS, &doctor->answer.why);
	client_begin(&request, REQUEST_STATUS);
	if (!r)
		r = ask(&doctor->client, &request, NULL, 0, NULL, NULL, &doctor->answer.why);
	doctor->answer.r = r;
	if (r)
		return r < 0 ? r : 0;
	doctor->pid = find_process(doctor);
	doctor->other_network = netns_is_other(doctor_number(doctor, KEY_NETNS));
	return 0;
}

/* Over a connection of its own: the answer to status stays in doctor->client. */
static int ask_lists(struct doctor *doctor)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct writer request;
	int r;

	r = ask_open(&client, doctor->ctl, ASK_TIMEOUT_MS, &doctor->list.why);
	client_begin(&request, REQUEST_LIST);
	if (!r)
		r = ask(&client, &request, NULL, 0, seats_add_row, &doctor->seats, &doctor->list.why);
	client_begin(&request, REQUEST_RULES);
	if (!r)
		r = ask(&client, &request, NULL, 0, settings_add_row, &doctor->in_force, &doctor->list.why);
	doctor->list.r = r;
	return r < 0 ? r : 0;
}

static void find_instance(struct doctor *doctor)
{
	const char *name =
		doctor->answer.r ? doctor->ctl->instance_name : ask_value(&doctor->client, KEY_INSTANCE, "");

	if (instance_init(&doctor->instance, name) < 0)
		name = "";
	if (!*name)
		(void)instance_init(&doctor->instance, name);
	(void)snprintf(doctor->name, sizeof(doctor->name), "%s", name);
	(void)snprintf(doctor->command, sizeof(doctor->command), "usherctl%s%s", *name ? " --instance " : "",
		doctor->name);
	(void)snprintf(doctor->service, sizeof(doctor->service), "usherd%s%s.service", *name ? "@" : "",
		doctor->name);
}

static int read_files(struct doctor *doctor, struct image **ret_image)
{
	int r = files_load(doctor->instance.rule_dirs, &doctor->files, &doctor->problems);

	if (!r)
		r = rule_check(doctor->files, ret_image, &doctor->problems);
	if (r > 0) {
		(void)rule_set_free(doctor->files);
		doctor->files = NULL;
	}
	return r < 0 ? r : 0;
}

/* Return: 0, or -ENOMEM. What is in force is good, except to a usherctl of another version. */
static int parse_in_force(struct doctor *doctor)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	int r = in_force_parse(&doctor->in_force, &doctor->set);

	if (!r)
		r = rule_check(doctor->set, &doctor->image, &problems);
	return r < 0 ? r : 0;
}

static int read_rules(struct doctor *doctor)
{
	_cleanup_(image_freep) struct image *image = NULL;
	int r = read_files(doctor, &image);

	if (!r && !doctor->answer.r && !doctor->list.r)
		r = parse_in_force(doctor);
	if (r < 0)
		return r;
	if (!doctor->image) {
		if (doctor->set != doctor->files)
			(void)rule_set_free(doctor->set);
		doctor->set = doctor->files;
		doctor->image = TAKE_PTR(image);
	}
	for (size_t i = 0; doctor->set && i < doctor->set->n_rules; i++)
		doctor->discovers = doctor->discovers || doctor->set->rules[i].discover.present;
	return 0;
}

static int gather(struct doctor *doctor)
{
	int r = ask_broker(doctor);

	if (!r && !doctor->answer.r)
		r = ask_lists(doctor);
	find_instance(doctor);
	if (!r)
		r = read_rules(doctor);
	if (!r) {
		r = diag_dump(0, NULL, 0, &doctor->sockets, &doctor->n_sockets, &doctor->dump.why);
		doctor->dump.r = r;
	}
	if (!r && doctor->n_sockets)
		qsort(doctor->sockets, doctor->n_sockets, sizeof(*doctor->sockets), compare_cookies);
	return r < 0 ? r : 0;
}

int verb_doctor(const struct ctl *ctl)
{
	_cleanup_(doctor_deinit) struct doctor doctor = {
		.ctl = ctl, .client = CLIENT_NULL, .root = geteuid() == 0};

	if (gather(&doctor) < 0)
		return complain_memory();
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		for (const struct check *check = sections[i].checks; check->name; check++) {
			report_begin(&doctor.report, sections[i].section, check->name);
			check->function(&doctor);
		}
	report_end(&doctor.report);
	if (doctor.report.out_of_memory)
		return complain_memory();
	if (ctl->json)
		report_print_json(&doctor.report);
	else
		report_print(&doctor.report, !ctl->no_legend);
	return doctor.report.totals[REPORT_FAIL] ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * usherctl doctor: what may keep usher from serving, and what to do about it
 *
 * A check looks at one thing and adds its findings to the report. It changes nothing, and reports what it may not look
 * at. doctor.c has the table of checks; each of the other files has those of one section, or of a part of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../../image/image.h"
#include "../../scan/diag.h"
#include "../../util/name.h"
#include "../ctl.h"
#include "../host/manager.h"
#include "../out/report.h"
#include "../view/seats.h"
#include "../view/settings.h"

/* The result of a question whose answer the checks build on */
struct outcome {
	int r;
	struct refusal why; /* when it was refused */
};

/* What several checks look at, gathered once */
struct doctor {
	const struct ctl *ctl;
	struct report report;
	bool root;

	/* the broker; client.message is its answer to status */
	struct client client;
	struct outcome answer; /* 0, REFUSED or CLIENT_ABSENT */
	pid_t pid;	       /* 0: not known, or in another PID namespace */
	bool other_network;    /* it serves another network namespace than that of this process */
	struct seats seats;
	struct settings in_force;
	struct outcome list; /* of seats and in_force: 0 or REFUSED */

	/* the instance that answers, or that of the command line */
	char name[NAME_LENGTH_MAX + 1];
	struct instance instance;
	char command[NAME_LENGTH_MAX + 32]; /* "usherctl", "usherctl --instance blue" */
	char service[NAME_LENGTH_MAX + 32]; /* "usherd.service", "usherd@blue.service" */

	/* the rule files; NULL when they have errors */
	struct problems problems;
	struct rule_set *files;
	/*
	 * The rules that the checks are about: those in force, or without a broker those of the files. Both are NULL when
	 * there are none.
	 */
	struct rule_set *set;
	struct image *image;
	bool discovers; /* a rule has a section [Discover] */

	struct manager manager;

	/* the listening sockets of this network namespace, sorted by cookie */
	struct diag_socket *sockets;
	size_t n_sockets;
	struct outcome dump; /* 0 or REFUSED */
};

struct check {
	const char *name;
	void (*function)(struct doctor *doctor);
};

/* Each ends with a name of NULL */
extern const struct check kernel_checks[], host_checks[], unit_checks[], named_unit_checks[], broker_checks[],
	pin_checks[], rule_checks[], match_checks[], path_checks[], filter_checks[], socket_checks[],
	device_checks[], udp_checks[], udp_map_checks[], relay_checks[];

#define doctor_found(doctor, result, ...) report_add(&(doctor)->report, (result), __VA_ARGS__)
#define doctor_remedy(doctor, ...) report_remedy(&(doctor)->report, __VA_ARGS__)

/* doctor_skips_*() - if something that the check needs is missing, report the check as skipped; Return: is it? */
bool doctor_skips_unprivileged(struct doctor *doctor);
bool doctor_skips_unanswered(struct doctor *doctor); /* no broker, or no list */
bool doctor_skips_unread(struct doctor *doctor);     /* no rules */
bool doctor_skips_elsewhere(
	struct doctor *doctor); /* another network namespace, or no listening sockets to see */

/* Every check of sockets needs the broker's list and the kernel's. */
bool doctor_skips_sockets(struct doctor *doctor);

bool doctor_seat_is_udp(const struct seat *seat);

/* doctor_serves_udp() - is it one of UDP, with a socket? */
bool doctor_serves_udp(const struct seat *seat);

/* doctor_has_no_udp() - is there no such seat? Then the check has nothing to look at, which is reported */
bool doctor_has_no_udp(struct doctor *doctor);

/* doctor_number() - a number of the answer to status; 0 when it has none */
unsigned long doctor_number(const struct doctor *doctor, enum message_key key);

/* doctor_find() - the socket of a place as sock_diag lists it, or NULL */
const struct diag_socket *doctor_find(const struct doctor *doctor, const struct listed_place *place);

/* doctor_serving() - the socket of a seat that gets its packets, as sock_diag lists it, or NULL */
const struct diag_socket *doctor_serving(const struct doctor *doctor, const struct seat *seat);

/* doctor_read() - the first line of a small file; Return: 0 or a negative errno */
int doctor_read(const char *path, char *text, size_t size);

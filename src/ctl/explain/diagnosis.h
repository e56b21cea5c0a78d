/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What becomes of a packet, and what an administrator should know about it */

#include "host_view.h"
#include "described_socket.h"
#include "explanation.h"
#include "rule_files.h"

struct finding {
	enum { FINDING_FAIL, FINDING_WARN, FINDING_NOTE } severity;
	const char *code;
	char text[1024];
	char remedy[512];  /* "" when nothing is to be done */
	char command[512]; /* for the remedy; "" when there is none */
};

struct diagnosis {
	char sentence[1024];
	bool arrives; /* a socket gets it */
	struct finding *findings;
	size_t n_findings;
	bool out_of_memory;
};

/* All there is to judge by */
struct evidence {
	const struct asked *asked;
	const struct explanation *explanation;
	const struct around *around;
	const struct filed *filed;
	const struct described *described;
};

/* diagnose() - Return: 0 or -ENOMEM */
int diagnose(const struct evidence *evidence, struct diagnosis *ret);
void diagnosis_deinit(struct diagnosis *diagnosis);

/* diagnosis_add() - a finding; what it lacks is filled in with finding_remedy() */
struct finding *diagnosis_add(struct diagnosis *diagnosis, int severity, const char *code, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* finding_remedy(), finding_command() - @finding may be NULL, when there was no memory for it */
void finding_remedy(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_command(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* find_seat_faults() - why there is no socket, or none that can take it; find_notes() - what else is to be known */
void find_seat_faults(const struct evidence *evidence, struct diagnosis *diagnosis);
void find_notes(const struct evidence *evidence, struct diagnosis *diagnosis);

#define WHO_MAX 512

/* place_format() - whose it is: "nginx.service (pid 7)", "nginx (pid 7)", "uid 33 (pid 7, ended)", "uid 33" */
const char *place_format(const struct place *place, const struct place_seen *seen, char text[static WHO_MAX]);

/* listener_format() - "sshd (pid 3, ssh.service) at 0.0.0.0:443" */
#define LISTENER_TEXT_MAX 640
const char *listener_format(const struct listener *listener, char text[static LISTENER_TEXT_MAX]);

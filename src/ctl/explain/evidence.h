/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The evidence about a packet: what the broker, the kernel and the rule files say */

#include "described_socket.h"
#include "explanation.h"
#include "host_view.h"
#include "rule_files.h"

struct evidence {
	const struct asked *asked;
	const struct explanation *explanation;
	const struct host_view *host;
	const struct rule_files *files;
	const struct described_socket *described;
};

#define WHO_MAX 512

/*
 * evidence_place_format() - the owner of a place: "nginx.service (pid 7)", "nginx (pid 7)", "uid 33 (pid 7, ended)",
 * "uid 33"
 */
const char *evidence_place_format(
	const struct explained_place *place, const struct place_seen *seen, char text[static WHO_MAX]);

/* evidence_listener_format() - "sshd (pid 3, ssh.service) at 0.0.0.0:443" */
#define LISTENER_TEXT_MAX 640
const char *evidence_listener_format(const struct listener *listener, char text[static LISTENER_TEXT_MAX]);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The evidence about a packet: what the broker, the kernel and the rule files say */

#include "../filter/passage.h"
#include "../host/name_units.h"
#include "described_socket.h"
#include "explanation.h"
#include "guard.h"
#include "host_view.h"
#include "rule_files.h"

struct evidence {
	const struct asked *question; /* as it was asked */
	const struct asked *asked;    /* the same, or with the destination that packet filters give it */
	const struct passage *passage;
	const struct explanation *explanation;
	const struct host_view *host;
	const struct guard *guard;
	const struct rule_files *files;
	const struct described_socket *described;
	const struct name_fault *units; /* of a name without a socket; its text is "" if nothing was found */
};

/* evidence_is_sent_away() - do packet filters send the packet where no socket of this host gets it? */
bool evidence_is_sent_away(const struct evidence *evidence);

#define WHO_MAX 512

/*
 * evidence_place_format() - the owner of a place: "nginx.service (pid 7)", "nginx (pid 7)", "uid 33 (pid 7, ended)",
 * "uid 33"
 */
const char *evidence_place_format(
	const struct explained_place *place, const struct place_seen *seen, char text[static WHO_MAX]);

/* evidence_place_address() - its address and port, and the device to which it is bound, as they are now */
const char *evidence_place_address(const struct evidence *evidence, const struct explained_place *place,
	char text[static ENDPOINT_TEXT_MAX]);

/* evidence_place_device() - to which it is bound now; 0: none, or not seen */
uint32_t evidence_place_device(const struct evidence *evidence, const struct explained_place *place);

/* evidence_place_is_transparent() - does its socket have IP_TRANSPARENT? */
bool evidence_place_is_transparent(const struct evidence *evidence, const struct explained_place *place);

/* evidence_device_format() - by which the packet comes: "eth0", "lo (which counts as eth0)"; it must be known */
#define EVIDENCE_DEVICE_MAX 64
const char *evidence_device_format(const struct asked *asked, char text[static EVIDENCE_DEVICE_MAX]);

/* evidence_listener_format() - "sshd (pid 3, ssh.service) at 0.0.0.0:443" */
#define LISTENER_TEXT_MAX 640
const char *evidence_listener_format(const struct listener *listener, char text[static LISTENER_TEXT_MAX]);

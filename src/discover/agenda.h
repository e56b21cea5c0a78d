/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What to scan next. The agenda is bounded: when it overflows, everything is scanned. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/usher-discover.h"
#include "../util/name.h"

#define AGENDA_PORTS_MAX 8U
#define AGENDA_EARLY_MAX 32U

struct agenda {
	bool all;
	char name[NAME_LENGTH_MAX + 1]; /* "": none; a second name means everything */
	struct {
		uint8_t protocol;
		uint16_t port;
		pid_t pid;     /* the process that listens there now; 0: not known, or several */
		bool is_again; /* it was scanned a moment ago */
	} ports[AGENDA_PORTS_MAX];
	size_t n_ports;
	uint64_t early[AGENDA_EARLY_MAX]; /* cookies in `early`, to be evicted unless they are accepted */
	size_t n_early;
};

void agenda_add_name(struct agenda *agenda, const char *name);

/* agenda_add_again() - a port to scan once more */
void agenda_add_again(struct agenda *agenda, uint8_t protocol, uint16_t port);
void agenda_add_listen(struct agenda *agenda, const struct usher_listen *listen);

/* agenda_has_early() - is the cookie in `early`? */
bool agenda_has_early(const struct agenda *agenda, uint64_t cookie);

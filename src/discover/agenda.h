/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is to be scanned next. Bounded: when it becomes too much, it is everything. */

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
	char name[NAME_LENGTH_MAX + 1]; /* "": none; several are everything */
	struct {
		uint8_t protocol;
		uint16_t port;
		pid_t pid;     /* who listens there now; 0: not known, or several */
		bool is_again; /* it was looked at a moment ago */
	} ports[AGENDA_PORTS_MAX];
	size_t n_ports;
	uint64_t early
		[AGENDA_EARLY_MAX]; /* cookies that were put into `early`, to be evicted unless they pass */
	size_t n_early;
};

void agenda_add_name(struct agenda *agenda, const char *name);

/* agenda_add_again() - a port that is to be looked at once more */
void agenda_add_again(struct agenda *agenda, uint8_t protocol, uint16_t port);
void agenda_add_listen(struct agenda *agenda, const struct usher_listen *listen);

/* agenda_has_early() - whether a cookie is among them */
bool agenda_has_early(const struct agenda *agenda, uint64_t cookie);

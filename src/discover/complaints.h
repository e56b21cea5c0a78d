/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The refused sockets that have been reported, so that each is reported once and not by every scan */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../rule/rule.h"
#include "../util/error.h"
#include "../util/name.h"

#define COMPLAINTS_MAX 1024U /* the oldest are forgotten */

/* One refused socket. */
struct complaint {
	uint64_t cookie;
	uint8_t address[16]; /* local, of `family`, network order, IPv4 in the first 4 bytes */
	uint16_t port;
	uint8_t protocol;
	uint8_t family;
	uid_t uid;	  /* who made it */
	pid_t pid;	  /* who has it open; 0: not known */
	int error;	  /* positive */
	char process[32]; /* of the pid */
	char unit[128];
	char name[NAME_LENGTH_MAX + 1]; /* of the rule */
	char text[sizeof(((struct refusal *)NULL)->text)];
};

struct complaints {
	struct {
		uint64_t cookie;
		int error;
		char name[NAME_LENGTH_MAX + 1];
	} items[COMPLAINTS_MAX];
	size_t n; /* made so far; the next one goes to n % COMPLAINTS_MAX */
};

/* complaints_report() - report a refused socket of a rule, unless it was reported for this reason before */
void complaints_report(
	struct complaints *complaints, const struct rule *rule, const struct complaint *complaint);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Something that keeps a packet from the lookup of a socket, or sends it elsewhere, and in doubt may do so */

#include "evaluation.h"

struct act {
	enum act_kind {
		ACT_DROP,
		ACT_REJECT,
		ACT_SENT,   /* to `sent` */
		ACT_SOCKET, /* to the socket at `sent` */
		ACT_QUEUE,  /* to a program, which decides */
		ACT_GONE,   /* somewhere else, or something that is not known here */
	} kind;
	struct doubt doubt; /* causes 0: it happens */
	uint8_t family;	    /* of the table */
	char table[256], chain[256];
	uint64_t handle; /* 0: the policy of the chain */
	struct sent sent;
};

struct acts {
	struct act *
		items; /* in the order in which the packet meets them, up to one that ends its way for certain */
	size_t n;
	size_t n_more; /* that may happen, and are not on the list */
};

#define ACTS_NULL ((struct acts){})

void acts_deinit(struct acts *acts);

/* acts_certain() - the last one that happens, or NULL; @sent: of the kind ACT_SENT, or of the others */
const struct act *acts_certain(const struct acts *acts, bool sent);

/* act_keeps() - drops or rejects the packet */
bool act_keeps(const struct act *act);

#define ACT_TEXT_MAX 880

/* act_format() - "rule handle 5 of chain 'inet filter input' drops it"; @family: of the packet */
const char *act_format(const struct act *act, int family, char text[static ACT_TEXT_MAX]);

/* act_format_doubt() - on what it depends: "the source, which was not asked for" */
const char *act_format_doubt(const struct act *act, char text[static ACT_TEXT_MAX]);

/* act_format_command() - the command that lists its chain */
const char *act_format_command(const struct act *act, char text[static ACT_TEXT_MAX]);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One rule of nf_tables and a packet: whether it fits, and what it does then */

#include "bits.h"
#include "probe.h"
#include "registers.h"
#include "ruleset.h"

/* Where a rule sends a packet */
struct sent {
	bool address_known, port_known;
	bool of_device; /* to the address of the device by which it comes */
	uint8_t address[16];
	uint16_t port;
};

struct evaluation {
	struct ruleset *ruleset;
	struct probe *probe;
	const struct ruleset_chain *base;
	bool sure; /* the rule is reached for certain: what it changes is changed */
	/* of the rule */
	struct registers registers;
	enum bits_fit fit;
	struct doubt doubt; /* when `fit` is BITS_MAYBE */
	/* what the last expression does if the rule fits */
	enum {
		EVALUATION_ON,
		EVALUATION_VERDICT, /* `verdict` */
		EVALUATION_MAP,	    /* the verdict of an element of `map` for `key` */
		EVALUATION_REJECT,
		EVALUATION_SENT,   /* to `sent`; the chain ends */
		EVALUATION_SOCKET, /* the packet is for the socket at `sent`; the rule goes on */
		EVALUATION_QUEUE,
		EVALUATION_GONE, /* to somewhere else; `doubt` has its name */
	} end;
	struct ruleset_verdict verdict;
	const struct ruleset_set *map;
	size_t key; /* in the registers */
	struct sent sent;
};

/* evaluation_begin() - a rule; @sure: it is reached for certain */
void evaluation_begin(struct evaluation *evaluation, bool sure);

struct nlattr;

/* evaluation_step() - the next expression of the rule: an attribute NFTA_LIST_ELEM */
void evaluation_step(struct evaluation *evaluation, const struct nlattr *expression);

/* evaluation_fit() - the rule goes on only with this; @causes, @what: when it is BITS_MAYBE */
void evaluation_fit(struct evaluation *evaluation, enum bits_fit fit, unsigned causes, const char *what);

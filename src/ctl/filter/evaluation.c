/* SPDX-License-Identifier: BSD-3-Clause */
#include "evaluation.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "../../util/macro.h"
#include "attributes.h"
#include "elements.h"
#include "loading.h"
#include "lookup.h"
#include "match.h"
#include "sending.h"
#include "target.h"

void evaluation_begin(struct evaluation *evaluation, bool sure)
{
	evaluation->sure = sure;
	/* what a register has before it is loaded is not looked at by any rule that the kernel accepts */
	evaluation->registers = (struct registers){};
	evaluation->fit = BITS_YES;
	evaluation->doubt = (struct doubt){};
	evaluation->end = EVALUATION_ON;
}

void evaluation_fit(struct evaluation *evaluation, enum bits_fit fit, unsigned causes, const char *what)
{
	if (fit == BITS_MAYBE)
		doubt_add(&evaluation->doubt, causes ? causes : (unsigned)CAUSE_OTHER, what);
	evaluation->fit = bits_both(evaluation->fit, fit);
}

static void fit_registers(struct evaluation *evaluation, enum bits_fit fit, size_t at, size_t size)
{
	const char *what = evaluation->registers.what;

	evaluation_fit(evaluation, fit, registers_causes(&evaluation->registers, at, size),
		*what ? what : "a limit of an element");
}

/* ---- comparing */

static void compare(struct evaluation *evaluation, const struct attributes *attributes)
{
	const struct registers *registers = &evaluation->registers;
	uint32_t op = attributes_u32(attributes, NFTA_CMP_OP, UINT32_MAX);
	const uint8_t *data, *value, *known;
	size_t at, size = attributes_data(attributes, NFTA_CMP_DATA, &data);
	enum bits_fit fit = BITS_MAYBE;

	if (!registers_at(attributes_u32(attributes, NFTA_CMP_SREG, 0), size, &at) || !size) {
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "a comparison");
		return;
	}
	value = registers->value + at;
	known = registers->known + at;
	switch (op) {
	case NFT_CMP_EQ:
	case NFT_CMP_NEQ:
		fit = bits_equal(value, known, data, size);
		if ((registers_causes(registers, at, size) & CAUSE_NOT_LOOPBACK) &&
			probe_is_loopback(data, size))
			fit = BITS_NO;
		fit = op == NFT_CMP_EQ ? fit : bits_not(fit);
		break;
	case NFT_CMP_LT:
	case NFT_CMP_GTE:
		fit = bits_below(value, known, data, size, 0);
		fit = op == NFT_CMP_LT ? fit : bits_not(fit);
		break;
	case NFT_CMP_LTE:
	case NFT_CMP_GT:
		fit = bits_below(value, known, data, size, 1);
		fit = op == NFT_CMP_LTE ? fit : bits_not(fit);
		break;
	}
	fit_registers(evaluation, fit, at, size);
}

static void compare_range(struct evaluation *evaluation, const struct attributes *attributes)
{
	const struct registers *registers = &evaluation->registers;
	bool inverted = attributes_u32(attributes, NFTA_RANGE_OP, NFT_RANGE_EQ) == NFT_RANGE_NEQ;
	const uint8_t *first, *last;
	size_t at, size = attributes_data(attributes, NFTA_RANGE_FROM_DATA, &first);
	enum bits_fit fit;

	if (!size || attributes_data(attributes, NFTA_RANGE_TO_DATA, &last) != size ||
		!registers_at(attributes_u32(attributes, NFTA_RANGE_SREG, 0), size, &at)) {
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "a range");
		return;
	}
	fit = bits_within(registers->value + at, registers->known + at, first, last, size);
	fit_registers(evaluation, inverted ? bits_not(fit) : fit, at, size);
}

static void look_up(struct evaluation *evaluation, const struct attributes *attributes)
{
	const struct ruleset_set *set = ruleset_set(evaluation->ruleset, evaluation->base->family,
		evaluation->base->table, attributes_text(attributes, NFTA_LOOKUP_SET));
	bool inverted = attributes_u32(attributes, NFTA_LOOKUP_FLAGS, 0) & NFT_LOOKUP_F_INV;
	uint32_t target = attributes_u32(attributes, NFTA_LOOKUP_DREG, UINT32_MAX);
	struct lookup lookup = {.set = set, .registers = &evaluation->registers};
	const struct ruleset_element *element;
	enum bits_fit fit;

	if (!set ||
		!registers_at(attributes_u32(attributes, NFTA_LOOKUP_SREG, 0), set->key_size, &lookup.at)) {
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "a set");
		if (target != UINT32_MAX)
			registers_forget(&evaluation->registers, target, 16, CAUSE_OTHER, "a map");
		return;
	}
	if (attributes->items[NFTA_LOOKUP_DREG] && target == NFT_REG_VERDICT) {
		evaluation->map = set;
		evaluation->key = lookup.at;
		evaluation->end = EVALUATION_MAP;
		return;
	}
	fit = lookup_fit(set, &evaluation->registers, lookup.at);
	fit_registers(evaluation, inverted ? bits_not(fit) : fit, lookup.at, set->key_size);
	if (!attributes->items[NFTA_LOOKUP_DREG])
		return;
	element = lookup_next(&lookup, &fit);
	if (element && fit == BITS_YES)
		registers_store(&evaluation->registers, target, element->data, NULL, element->data_size, 0);
	else if (element)
		registers_forget(&evaluation->registers, target, element->data_size,
			registers_causes(&evaluation->registers, lookup.at, set->key_size) | CAUSE_OTHER,
			"a map");
}

/* ---- ending */

static void set_immediate(struct evaluation *evaluation, const struct attributes *attributes)
{
	uint32_t target = attributes_u32(attributes, NFTA_IMMEDIATE_DREG, UINT32_MAX);
	const uint8_t *data;
	size_t size;

	if (target != NFT_REG_VERDICT) {
		size = attributes_data(attributes, NFTA_IMMEDIATE_DATA, &data);
		if (size)
			registers_store(&evaluation->registers, target, data, NULL, size, 0);
		return;
	}
	if (elements_read_verdict(attributes->items[NFTA_IMMEDIATE_DATA], &evaluation->verdict))
		evaluation->end = EVALUATION_VERDICT;
}

static void reject(struct evaluation *evaluation, const struct attributes *attributes)
{
	(void)attributes;
	evaluation->end = EVALUATION_REJECT;
}

static void queue(struct evaluation *evaluation, const struct attributes *attributes)
{
	(void)attributes;
	evaluation->end = EVALUATION_QUEUE;
}

static void go_away(struct evaluation *evaluation, const struct attributes *attributes)
{
	(void)attributes;
	doubt_add(&evaluation->doubt, CAUSE_OTHER, "fwd or synproxy");
	evaluation->end = EVALUATION_GONE;
}

static void stop_tracking(struct evaluation *evaluation, const struct attributes *attributes)
{
	(void)attributes;
	if (evaluation->sure && evaluation->fit == BITS_YES && !evaluation->probe->tracked)
		evaluation->probe->untracked = true;
}

/* ---- those that decide by what is not looked at, or not at all */

static void pass_by(struct evaluation *evaluation, const struct attributes *attributes)
{
	(void)evaluation;
	(void)attributes;
}

/* Named counters and helpers decide nothing. */
static void use_object(struct evaluation *evaluation, const struct attributes *attributes)
{
	static const char *const limits[] = {[NFT_OBJECT_QUOTA] = "quota",
		[NFT_OBJECT_LIMIT] = "limit",
		[NFT_OBJECT_CONNLIMIT] = "ct count",
		[NFT_OBJECT_SYNPROXY] = "synproxy"};
	uint32_t type = attributes_u32(attributes, NFTA_OBJREF_IMM_TYPE, UINT32_MAX);

	if (type == UINT32_MAX)
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "a map of objects");
	else if (type < ARRAY_SIZE(limits) && limits[type])
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, limits[type]);
}

/* It goes on unless the set is full. */
static void update_set(struct evaluation *evaluation, const struct attributes *attributes)
{
	bool decides = attributes->items[NFTA_DYNSET_EXPR] || attributes->items[NFTA_DYNSET_EXPRESSIONS] ||
		       attributes_u32(attributes, NFTA_DYNSET_FLAGS, 0) & NFT_DYNSET_F_INV;

	if (decides)
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "a set that packets change");
}

static const struct {
	const char *name;
	void (*function)(struct evaluation *evaluation, const struct attributes *attributes);
} expressions[] = {
	{"bitwise", loading_bitwise},
	{"byteorder", loading_byteorder},
	{"cmp", compare},
	{"counter", pass_by},
	{"ct", loading_connection},
	{"dup", pass_by},
	{"dynset", update_set},
	{"fib", loading_route},
	{"flow_offload", pass_by},
	{"fwd", go_away},
	{"immediate", set_immediate},
	{"last", pass_by},
	{"log", pass_by},
	{"lookup", look_up},
	{"masq", pass_by},
	{"match", match_evaluate},
	{"meta", loading_meta},
	{"nat", sending_nat},
	{"notrack", stop_tracking},
	{"objref", use_object},
	{"payload", loading_payload},
	{"queue", queue},
	{"range", compare_range},
	{"redir", sending_redirect},
	{"reject", reject},
	{"synproxy", go_away},
	{"target", target_evaluate},
	{"tproxy", sending_tproxy},
};

void evaluation_step(struct evaluation *evaluation, const struct nlattr *expression)
{
	struct attributes attributes, data;
	const char *name;
	char what[64];

	attributes_read_nested(expression, &attributes);
	name = attributes_text(&attributes, NFTA_EXPR_NAME);
	attributes_read_nested(attributes.items[NFTA_EXPR_DATA], &data);
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (!strcmp(expressions[i].name, name)) {
			expressions[i].function(evaluation, &data);
			return;
		}
	(void)snprintf(what, sizeof(what), "the expression '%.32s'", name);
	/* limit, quota, numgen, hash, socket, osf, exthdr and what later kernels have; they may load a register */
	for (unsigned i = 0; i < REGISTERS_SIZE / 4; i++)
		registers_forget(&evaluation->registers, NFT_REG32_00 + i, 4, CAUSE_OTHER, what);
	evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, what);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "walk.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "attributes.h"
#include "lookup.h"

#define DEPTH_MAX 16	   /* NFT_JUMP_STACK_SIZE */
#define POSSIBLE_MAX 64	   /* acts that may happen, of which a list is kept */
#define RULES_MAX 1000000U /* looked at for one packet: jumps that may or may not happen multiply */

struct walk {
	struct evaluation evaluation;
	struct acts *acts;
	struct doubt
		left; /* a rule that may have accepted the packet: the rest of the base chain is not certain */
	unsigned n_rules;
	bool out_of_memory, stopped;
};

/* How a chain, or a rule, ends for the packet */
enum way {
	WAY_ON, /* the next rule, or the caller of the chain, follows */
	WAY_RETURNED,
	WAY_ACCEPTED, /* the base chain ends */
	WAY_ACTED,    /* something acts */
};

/* Where a packet is in a chain */
struct position {
	const struct ruleset_chain *chain;
	uint64_t handle;    /* of the rule */
	struct doubt later; /* what the rest of the chain depends on */
	bool may_return;    /* a rule may have left the chain */
	unsigned depth;
};

/* ---- acts */

/* What the packet meets is not certain if something may have sent it elsewhere before. */
static const struct doubt *doubt_before(const struct acts *acts)
{
	for (size_t i = 0; i < acts->n; i++)
		if (acts->items[i].doubt.causes && !act_keeps(&acts->items[i]))
			return &acts->items[i].doubt;
	return NULL;
}

static void add_act(
	struct walk *walk, enum act_kind kind, const struct position *position, const struct doubt *doubt)
{
	const struct ruleset_chain *chain = position->chain;
	const struct doubt *before;
	struct act *act;

	if (doubt->causes && walk->acts->n >= POSSIBLE_MAX) {
		walk->acts->n_more++;
		return;
	}
	if (ARRAY_RESERVE(walk->acts->items, walk->acts->n) < 0) {
		walk->out_of_memory = true;
		return;
	}
	before = doubt->causes ? NULL : doubt_before(walk->acts);
	act = &walk->acts->items[walk->acts->n++];
	*act = (struct act){.kind = kind,
		.family = chain->family,
		.handle = position->handle,
		.doubt = before ? *before : *doubt};
	if (kind == ACT_SENT || kind == ACT_SOCKET)
		act->sent = walk->evaluation.sent;
	(void)snprintf(act->table, sizeof(act->table), "%s", chain->table);
	(void)snprintf(act->chain, sizeof(act->chain), "%s", chain->name);
	if (!doubt->causes)
		walk->stopped = kind != ACT_SENT && kind != ACT_SOCKET;
}

/* What a rule depends on: what it takes to reach it, then itself */
static struct doubt join(const struct walk *walk, const struct doubt *own, const struct position *position)
{
	struct doubt doubt = position->later.causes ? position->later : walk->left;

	if (!own->causes)
		return doubt;
	if (!doubt.causes) {
		doubt.handle = position->handle;
		(void)snprintf(doubt.chain, sizeof(doubt.chain), "%s", position->chain->name);
	}
	doubt_add(&doubt, own->causes, own->what);
	return doubt;
}

static void send_on(struct walk *walk)
{
	struct probe *probe = walk->evaluation.probe;
	const struct sent *sent = &walk->evaluation.sent;

	memcpy(probe->destination, sent->address, sizeof(probe->destination));
	probe->port = sent->port;
	probe->has_destination = sent->address_known;
	probe->has_port = sent->port_known;
	probe->translated = probe->translated || walk->evaluation.base->nat;
}

/* ---- rules */

static enum way walk_chain(
	struct walk *walk, const struct ruleset_chain *chain, const struct doubt *outer, unsigned depth);

/* @own: whether the rule fits; without causes for certain */
static enum way call(struct walk *walk, const struct ruleset_verdict *verdict, const struct doubt *own,
	struct position *position)
{
	const struct ruleset_chain *chain = position->chain;
	const struct ruleset_chain *target =
		ruleset_chain(walk->evaluation.ruleset, chain->family, chain->table, verdict->chain);
	const struct doubt doubt = join(walk, own, position);
	enum way way = WAY_ON;

	if (target && position->depth < DEPTH_MAX)
		way = walk_chain(walk, target, &doubt, position->depth + 1);
	if (own->causes && way == WAY_ACCEPTED && !walk->left.causes)
		walk->left = doubt;
	if (own->causes && verdict->code == NFT_GOTO) {
		position->may_return = true;
		position->later = doubt;
	}
	if (own->causes)
		return WAY_ON;
	return way == WAY_ON && verdict->code == NFT_GOTO ? WAY_RETURNED : way;
}

static enum way act(struct walk *walk, enum act_kind kind, const struct doubt *own, struct position *position)
{
	const struct doubt doubt = join(walk, own, position);

	add_act(walk, kind, position, &doubt);
	if (kind == ACT_SENT && !doubt.causes)
		send_on(walk);
	if (own->causes || kind == ACT_SOCKET)
		return WAY_ON;
	/* a rule that writes another destination into the packet goes on, unlike NAT */
	if (kind == ACT_SENT)
		return walk->evaluation.base->nat ? WAY_ACCEPTED : WAY_ON;
	return WAY_ACTED;
}

static enum way follow(struct walk *walk, const struct ruleset_verdict *verdict, const struct doubt *own,
	struct position *position)
{
	switch (verdict->code) {
	case NFT_CONTINUE:
		return WAY_ON;
	case NFT_RETURN:
		if (!own->causes)
			return WAY_RETURNED;
		position->later = join(walk, own, position);
		position->may_return = true;
		return WAY_ON;
	case NFT_JUMP:
	case NFT_GOTO:
		return call(walk, verdict, own, position);
	}
	switch (verdict->code & NF_VERDICT_MASK) {
	case NF_ACCEPT:
	case NF_STOP:
		if (!own->causes)
			return WAY_ACCEPTED;
		if (!walk->left.causes)
			walk->left = join(walk, own, position);
		return WAY_ON;
	case NF_QUEUE:
		return act(walk, ACT_QUEUE, own, position);
	default: /* NF_DROP, with an errno or not; NF_STOLEN */
		return act(walk, ACT_DROP, own, position);
	}
}

static enum way follow_map(struct walk *walk, struct position *position)
{
	/* a chain that is called changes those of the evaluation */
	const struct registers registers = walk->evaluation.registers;
	const struct doubt rule = walk->evaluation.doubt;
	struct lookup lookup = {
		.set = walk->evaluation.map, .registers = &registers, .at = walk->evaluation.key};
	unsigned causes = registers_causes(&registers, lookup.at, lookup.set->key_size);
	const struct ruleset_element *element;
	enum bits_fit fit;

	while ((element = lookup_next(&lookup, &fit))) {
		struct doubt own = rule;
		enum way way;

		if (!element->verdict)
			continue;
		if (fit == BITS_MAYBE)
			doubt_add(&own, causes ? causes : (unsigned)CAUSE_OTHER,
				*registers.what ? registers.what : "a limit of an element");
		way = follow(walk, element->verdict, &own, position);
		if (way != WAY_ON)
			return way;
	}
	return WAY_ON;
}

static enum way end(struct walk *walk, struct position *position)
{
	struct evaluation *evaluation = &walk->evaluation;
	const struct doubt own = evaluation->doubt;

	switch (evaluation->end) {
	case EVALUATION_VERDICT:
		return follow(walk, &evaluation->verdict, &own, position);
	case EVALUATION_MAP:
		return follow_map(walk, position);
	case EVALUATION_REJECT:
		return act(walk, ACT_REJECT, &own, position);
	case EVALUATION_SENT:
		return act(walk, ACT_SENT, &own, position);
	case EVALUATION_SOCKET:
		return act(walk, ACT_SOCKET, &own, position);
	case EVALUATION_QUEUE:
		return act(walk, ACT_QUEUE, &own, position);
	case EVALUATION_GONE:
		return act(walk, ACT_GONE, &own, position);
	default:
		return WAY_ON;
	}
}

static enum way walk_rule(struct walk *walk, const struct ruleset_rule *rule, struct position *position)
{
	struct evaluation *evaluation = &walk->evaluation;
	const struct nlattr *expression = (const struct nlattr *)rule->expressions;
	const uint8_t *last;
	enum way way = WAY_ON;

	if (!rule->size)
		return WAY_ON;
	last = rule->expressions + rule->size;
	evaluation_begin(evaluation, !position->later.causes && !walk->left.causes);
	while (way == WAY_ON && mnl_attr_ok(expression, (int)(last - (const uint8_t *)expression))) {
		evaluation->end = EVALUATION_ON;
		evaluation_step(evaluation, expression);
		expression = mnl_attr_next(expression);
		if (evaluation->fit == BITS_NO)
			return WAY_ON;
		/* what follows a verdict is not reached; what another chain left in the registers is not looked at */
		if (evaluation->end == EVALUATION_VERDICT || evaluation->end == EVALUATION_MAP)
			return end(walk, position);
		way = end(walk, position);
	}
	return way;
}

static enum way walk_chain(
	struct walk *walk, const struct ruleset_chain *chain, const struct doubt *outer, unsigned depth)
{
	struct position position = {.chain = chain, .later = *outer, .depth = depth};
	enum way way = WAY_ON;

	for (size_t i = 0; i < chain->n_rules && way == WAY_ON && !walk->out_of_memory; i++) {
		position.handle = chain->rules[i].handle;
		if (++walk->n_rules > RULES_MAX) {
			struct doubt many = {};

			doubt_add(&many, CAUSE_OTHER, "the rest of very many rules");
			add_act(walk, ACT_GONE, &position, &many);
			walk->stopped = true;
		}
		way = walk->stopped ? WAY_ACTED : walk_rule(walk, &chain->rules[i], &position);
	}
	if (way == WAY_RETURNED)
		return WAY_ON;
	if (!position.may_return || way == WAY_ON)
		return way;
	/* or a rule before left the chain, and its caller goes on */
	if (way == WAY_ACCEPTED && !walk->left.causes)
		walk->left = position.later;
	return WAY_ON;
}

/* ---- base chains */

static bool has_device(const struct ruleset_chain *chain, const char *name)
{
	for (size_t i = 0; chain->devices && chain->devices[i]; i++)
		if (!strcmp(chain->devices[i], name))
			return true;
	return false;
}

/* NAT is at one priority, whatever its chains say. */
static int priority_of(const struct ruleset_chain *chain)
{
	if (!chain->nat)
		return chain->priority;
	return chain->hook == NF_INET_PRE_ROUTING || chain->hook == NF_INET_LOCAL_OUT ? NF_IP_PRI_NAT_DST
										      : NF_IP_PRI_NAT_SRC;
}

static int compare_chains(const void *a, const void *b)
{
	const struct ruleset_chain *x = *(const struct ruleset_chain *const *)a,
				   *y = *(const struct ruleset_chain *const *)b;
	int first = priority_of(x), second = priority_of(y);

	if (first == second) {
		first = x->priority;
		second = y->priority;
	}
	return (first > second) - (first < second);
}

static bool is_for(const struct ruleset_chain *chain, const struct probe *probe)
{
	uint8_t family = probe->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;

	return chain->base && !chain->dormant &&
	       (chain->family == family || chain->family == NFPROTO_INET || chain->ingress);
}

/* Return: whether the packet meets the chain; @doubt: whether that is certain */
static bool is_met(const struct ruleset_chain *chain, const struct probe *probe, struct doubt *doubt)
{
	/* NAT is decided once: for a packet of this host in the hook output */
	if (chain->nat &&
		(probe->translated || probe->untracked || (probe->own && chain->hook == NF_INET_PRE_ROUTING)))
		return false;
	if (!chain->ingress)
		return true;
	if (!probe->device) {
		doubt_add(doubt, probe->device_causes, "a device in a VRF or a bridge");
		/* one of the loopback device alone is not met */
		return !(probe->device_causes & CAUSE_NOT_LOOPBACK) || !has_device(chain, "lo") ||
		       chain->devices[1];
	}
	return has_device(chain, probe->device_name);
}

static void walk_base(struct walk *walk, const struct ruleset_chain *chain)
{
	struct doubt doubt = {};

	if (!is_met(chain, walk->evaluation.probe, &doubt))
		return;
	walk->evaluation.base = chain;
	walk->left = (struct doubt){};
	if (walk_chain(walk, chain, &doubt, 0) == WAY_ON && chain->drops) {
		const struct position position = {.chain = chain};

		add_act(walk, ACT_DROP, &position, doubt.causes ? &doubt : &walk->left);
	}
}

static int walk_hook(struct walk *walk, bool ingress, uint32_t hook)
{
	const struct ruleset *ruleset = walk->evaluation.ruleset;
	const struct ruleset_chain **chains = NULL;
	size_t n = 0;

	for (size_t i = 0; i < ruleset->n_chains; i++) {
		const struct ruleset_chain *chain = &ruleset->chains[i];

		if (!is_for(chain, walk->evaluation.probe) || chain->ingress != ingress ||
			(!ingress && chain->hook != hook))
			continue;
		if (ARRAY_RESERVE(chains, n) < 0) {
			free(chains);
			return -ENOMEM;
		}
		chains[n++] = chain;
	}
	if (n)
		qsort(chains, n, sizeof(*chains), compare_chains);
	for (size_t i = 0; i < n && !walk->stopped && !walk->out_of_memory; i++)
		walk_base(walk, chains[i]);
	free(chains);
	return walk->out_of_memory ? -ENOMEM : 0;
}

int walk_run(struct ruleset *ruleset, struct probe *probe, struct acts *ret)
{
	struct walk walk = {.evaluation = {.ruleset = ruleset, .probe = probe}, .acts = ret};
	int r = 0;

	*ret = ACTS_NULL;
	if (probe->own) {
		probe->outgoing = true;
		r = walk_hook(&walk, false, NF_INET_LOCAL_OUT);
		probe->tracked = !probe->untracked;
		if (!r)
			r = walk_hook(&walk, false, NF_INET_POST_ROUTING);
		probe->outgoing = false;
	}
	if (!r)
		r = walk_hook(&walk, true, 0);
	if (!r)
		r = walk_hook(&walk, false, NF_INET_PRE_ROUTING);
	probe->tracked = !probe->untracked;
	if (!r)
		r = walk_hook(&walk, false, NF_INET_LOCAL_IN);
	return r;
}

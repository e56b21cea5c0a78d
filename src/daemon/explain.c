/* SPDX-License-Identifier: BSD-3-Clause */

/* The request explain: what the current generation does with a packet, and which matches of which rules cover it. */

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../datapath/question.h"
#include "../rule/match.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/transport.h"
#include "request.h"

/* The most rows of one answer: nested ranges of ports could make many more. */
#define COVERS_MAX 256U

struct covering_match {
	const struct rule *rule;
	const struct rule_match *match;
};

struct answered_question {
	struct generation *generation; /* referenced; the covers point into it */
	struct question_answer answer;
	char name[USHER_NAME_MAX];		  /* of the seat; "": none */
	struct refused_hand_in refused;		  /* of that name; "": none */
	struct covering_match covers[COVERS_MAX]; /* the strongest first */
	size_t n, at, n_left_out;
};

static void question_release(void *state)
{
	struct answered_question *question = state;

	generation_unref(question->generation);
	free(question);
}

static void question_freep(struct answered_question **question)
{
	if (*question)
		question_release(*question);
}

/* ---- which matches cover the packet */

static void add_cover(
	struct answered_question *question, const struct rule *rule, const struct rule_match *match)
{
	struct covering_match *items = question->covers;
	size_t at = question->n;

	while (at && rule_match_is_stronger(match, items[at - 1].match))
		at--;
	if (question->n == COVERS_MAX)
		question->n_left_out++;
	else
		question->n++;
	if (at == COVERS_MAX)
		return;
	memmove(&items[at + 1], &items[at], (question->n - 1 - at) * sizeof(*items));
	items[at] = (struct covering_match){.rule = rule, .match = match};
}

static void find_covers(struct answered_question *question, const struct question_packet *packet)
{
	const struct rule_set *rules = question->generation->rules;

	for (size_t i = 0; i < rules->n_rules; i++)
		for (size_t k = 0; k < rules->rules[i].n_matches; k++)
			if (rule_match_covers(&rules->rules[i].matches[k], packet->protocol, packet->family,
				    packet->local_address, packet->local_port))
				add_cover(question, &rules->rules[i], &rules->rules[i].matches[k]);
}

/* ---- the answer */

static const enum verdict verdicts[] = {
	[QUESTION_NO_RULE] = VERDICT_NO_RULE,
	[QUESTION_DISPATCHED] = VERDICT_DISPATCHED,
	[QUESTION_PASSED] = VERDICT_PASSED,
	[QUESTION_REFUSED] = VERDICT_REFUSED,
	[QUESTION_YIELDED] = VERDICT_YIELDED,
};

static void write_end(const struct answered_question *question, struct writer *packet)
{
	const struct question_answer *answer = &question->answer;

	writer_put(packet, KEY_OK, "1");
	writer_put(packet, KEY_VERDICT, "%s", verdict_word(verdicts[answer->verdict]));
	if (*question->name)
		writer_put(packet, KEY_NAME, "%s", question->name);
	if (answer->cookie)
		writer_put(packet, KEY_COOKIE, "%" PRIx64, answer->cookie);
	_Static_assert(
		(int)USHER_OBSTACLE_UNKNOWN == OBSTACLE_UNKNOWN && (int)USHER_OBSTACLE_KINDS == OBSTACLE_N,
		"the program has the numbers of the words");
	if (answer->verdict == QUESTION_YIELDED)
		writer_put(packet, KEY_OBSTACLE, "%s", obstacle_word((enum obstacle)answer->obstacle));
	if (answer->error)
		writer_put(packet, KEY_ERROR, "%s", errno_name(answer->error));
	writer_put(packet, KEY_GENERATION, "%" PRIu64, question->generation->number);
	writer_put(packet, KEY_LEFT_OUT, "%zu", question->n_left_out);
	refusals_write(*question->refused.name ? &question->refused : NULL, packet);
}

static bool question_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct answered_question *question = state;
	const struct covering_match *cover = &question->covers[question->at];
	char text[RULE_MATCH_TEXT_MAX];

	(void)fds;
	(void)n_fds;
	if (question->at == question->n) {
		write_end(question, packet);
		return false;
	}
	writer_put(packet, KEY_ROW, "1");
	writer_put(packet, KEY_NAME, "%s", cover->rule->name);
	writer_put(packet, KEY_FILE, "%s", cover->rule->path);
	writer_put(packet, KEY_LINE, "%u", cover->match->line);
	writer_put(packet, KEY_MATCH, "%s", rule_match_format(cover->match, text));
	/* the strongest match comes first, and the program dispatches by it */
	writer_put(packet, KEY_WINNER, "%s", yes_word(!question->at));
	question->at++;
	return true;
}

/* ---- the question */

static int parse_endpoint(enum message_key key, const char *value, int family, uint8_t address[static 16],
	uint16_t *port, int *ret_family, struct refusal *refusal)
{
	struct rule_match match;
	struct refusal why;

	if (rule_match_parse(value, &match, &why))
		return refuse(refusal, EINVAL, "%s=: %s (EINVAL)", key_word(key), why.text);
	if (!rule_match_is_endpoint(&match))
		return refuse(refusal, EINVAL,
			"%s=%s is not one address and one port (EINVAL); write 192.0.2.1:443 or [2001:db8::1]:443",
			key_word(key), value);
	if (family && family != match.prefix.family)
		return refuse(
			refusal, EINVAL, "%s=%s and LOCAL= mix IPv4 and IPv6 (EINVAL)", key_word(key), value);
	memcpy(address, match.prefix.address, 16);
	*port = match.first;
	*ret_family = match.prefix.family;
	return 0;
}

/* The name is one of the broker's network namespace, where the packet comes. */
static int read_device(const char *name, uint32_t *ret, struct refusal *refusal)
{
	*ret = if_nametoindex(name);
	if (*ret)
		return 0;
	return refuse(refusal, ENODEV,
		"DEVICE=%.32s: usherd has no such device in its network namespace (ENODEV); 'ip link' lists them there",
		name);
}

static int read_asked_packet(
	const struct message *message, struct question_packet *ret, struct refusal *refusal)
{
	const char *local = message_get(message, KEY_LOCAL), *remote = message_get(message, KEY_REMOTE),
		   *device = message_get(message, KEY_DEVICE);
	uint8_t protocol;
	int family, r;

	*ret = (struct question_packet){.family = 0};
	if (!protocol_from_word(message_get(message, KEY_PROTOCOL), &protocol))
		return refuse(refusal, EINVAL, "PROTOCOL= must be tcp or udp (EINVAL)");
	if (!local)
		return refuse(refusal, EINVAL, "LOCAL= is missing (EINVAL); write LOCAL=192.0.2.1:443");
	ret->protocol = protocol;
	r = parse_endpoint(KEY_LOCAL, local, 0, ret->local_address, &ret->local_port, &ret->family, refusal);
	if (!r && remote)
		r = parse_endpoint(KEY_REMOTE, remote, ret->family, ret->remote_address, &ret->remote_port,
			&family, refusal);
	if (!r && device)
		r = read_device(device, &ret->device, refusal);
	return r;
}

int request_explain(struct usherd *usherd, const struct message *message, const struct identity *asker,
	struct answer_source *answer, struct refusal *refusal)
{
	_cleanup_(question_freep) struct answered_question *question = NULL;
	const struct refused_hand_in *refused;
	const struct broker *broker = &usherd->broker;
	struct question_packet packet;
	int r;

	r = read_asked_packet(message, &packet, refusal);
	if (r)
		return r;
	question = calloc(1, sizeof(*question));
	if (!question)
		return -ENOMEM;
	question->generation = generation_ref(broker->generation);
	r = question_ask(&broker->generation->question, &packet, &question->answer);
	if (r < 0)
		return r;
	if (question->answer.seat)
		memcpy(question->name, broker->registry.seats[question->answer.seat].name,
			sizeof(question->name));
	refused = *question->name
			  ? refusals_find(&usherd->refusals, broker->generation, question->name, asker)
			  : NULL;
	if (refused)
		question->refused = *refused;
	find_covers(question, &packet);
	*answer = (struct answer_source){
		.next = question_next, .release = question_release, .state = TAKE_PTR(question)};
	return 0;
}

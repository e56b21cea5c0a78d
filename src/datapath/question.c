/* SPDX-License-Identifier: BSD-3-Clause */
#include "question.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/socket.h>

#include "../../bpf/usher-bpf.h"

static struct bpf_sk_lookup make_context(const struct question_packet *packet)
{
	struct bpf_sk_lookup context = {
		.family = (uint32_t)packet->family,
		.protocol = (uint32_t)packet->protocol,
		.local_port = packet->local_port,
		.remote_port = htons(packet->remote_port),
	};

	if (packet->family == AF_INET) {
		memcpy(&context.local_ip4, packet->local_address, sizeof(context.local_ip4));
		memcpy(&context.remote_ip4, packet->remote_address, sizeof(context.remote_ip4));
	} else {
		memcpy(context.local_ip6, packet->local_address, sizeof(context.local_ip6));
		memcpy(context.remote_ip6, packet->remote_address, sizeof(context.remote_ip6));
	}
	return context;
}

int question_ask(
	const struct question *question, const struct question_packet *packet, struct question_answer *ret)
{
	struct bpf_sk_lookup context = make_context(packet);
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context),
		.ctx_out = &context, .ctx_size_out = sizeof(context));
	struct usher_answer answer = {.device = packet->device};
	uint32_t zero = 0;

	if (bpf_map_update_elem(question->answers, &zero, &answer, BPF_ANY) < 0)
		return -errno;
	if (bpf_prog_test_run_opts(question->program, &options) < 0)
		return -errno;
	if (bpf_map_lookup_elem(question->answers, &zero, &answer) < 0)
		return -errno;
	*ret = (struct question_answer){
		.seat = answer.seat,
		.obstacle = answer.obstacle < USHER_OBSTACLE_KINDS ? answer.obstacle : USHER_OBSTACLE_UNKNOWN,
		.cookie = context.cookie,
		.error = -answer.error,
	};
	if (!answer.seat)
		ret->verdict = QUESTION_NO_RULE;
	else if (answer.obstacle)
		ret->verdict = QUESTION_YIELDED;
	else if (context.cookie)
		ret->verdict = QUESTION_DISPATCHED;
	else
		ret->verdict = options.retval == SK_PASS ? QUESTION_PASSED : QUESTION_REFUSED;
	return 0;
}

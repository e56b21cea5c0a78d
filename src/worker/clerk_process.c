/* SPDX-License-Identifier: BSD-3-Clause */
#include "clerk_process.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "../util/capability.h"
#include "../util/macro.h"
#include "../wire/packet.h"
#include "clerk.h"

/* The default action of the signal ends the process, wherever it waits. */
static void limit_time(unsigned milliseconds)
{
	const struct itimerval timer = {
		.it_value = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000}};

	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

_Noreturn void clerk_run(int channel)
{
	(void)signal(SIGALRM, SIG_DFL);
	/* a module may start a process and wait for it */
	(void)signal(SIGCHLD, SIG_DFL);
	if (capability_keep(0) < 0)
		_exit(1);
	for (;;) {
		_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
		struct clerk_question question;
		struct clerk_answer answer;
		struct refusal refusal;
		id_t id = 0;

		if (packet_receive(channel, &packet, &refusal) != 0 || packet.size != sizeof(question))
			_exit(0);
		memcpy(&question, packet.text, sizeof(question));
		question.name[ACCOUNT_NAME_MAX] = '\0';
		/* the broker is first to give up, and knows why */
		limit_time(2 * CLERK_PATIENCE_MS);
		answer.result = account_find(
			question.kind == ACCOUNT_USER ? ACCOUNT_USER : ACCOUNT_GROUP, question.name, &id);
		limit_time(0);
		answer.id = id;
		if (packet_send(channel, (const char *)&answer, sizeof(answer), NULL, 0) < 0)
			_exit(0);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* The request reload: its outcome in one packet, or a row for each problem in the rule files. */

#include "reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../util/macro.h"
#include "request.h"

struct complaint {
	struct problems problems;
	size_t at;
};

static void complaint_release(void *state)
{
	struct complaint *complaint = state;

	problems_deinit(&complaint->problems);
	free(complaint);
}

static bool complaint_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct complaint *complaint = state;
	const struct problem *problem;
	char text[1024];

	(void)fds;
	(void)n_fds;
	if (complaint->at == complaint->problems.n) {
		writer_put(packet, KEY_ERRNO, "%d", EBADMSG);
		writer_put(packet, KEY_REASON, "%s",
			problem_format(&complaint->problems.items[0], text, sizeof(text)));
		return false;
	}
	problem = &complaint->problems.items[complaint->at++];
	writer_put(packet, KEY_ROW, "1");
	writer_put(packet, KEY_FILE, "%s", problem->file);
	writer_put(packet, KEY_LINE, "%u", problem->line);
	writer_put(packet, KEY_PROBLEM, "%.1000s", problem->text);
	return true;
}

static int answer_problems(struct problems *problems, struct answer_source *rows)
{
	struct complaint *complaint = calloc(1, sizeof(*complaint));

	if (!complaint)
		return -ENOMEM;
	complaint->problems = *problems;
	*problems = PROBLEMS_NULL;
	*rows = (struct answer_source){
		.next = complaint_next, .release = complaint_release, .state = complaint};
	return 0;
}

int reload_rules(struct usherd *usherd, struct rule_changes *changes, struct problems *problems,
	struct refusal *refusal)
{
	int r = broker_reload(&usherd->broker, changes, problems, refusal);

	tally_reload(&usherd->tally, r);
	(void)door_read_owners(usherd->door);
	return r;
}

int request_reload(
	struct usherd *usherd, struct writer *answer, struct answer_source *rows, struct refusal *refusal)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	const struct generation *generation;
	struct rule_changes changes;
	int r;

	r = reload_rules(usherd, &changes, &problems, refusal);
	if (r == BROKER_BAD_RULES)
		return answer_problems(&problems, rows);
	if (r)
		return r;
	generation = usherd->broker.generation;
	writer_put(answer, KEY_OK, "1");
	writer_put(answer, KEY_GENERATION, "%" PRIu64, generation->number);
	writer_put(answer, KEY_RULES, "%zu", generation->rules->n_rules);
	writer_put(answer, KEY_MATCHES, "%zu", generation->n_matches);
	writer_put(answer, KEY_ADDED, "%zu", changes.added);
	writer_put(answer, KEY_REMOVED, "%zu", changes.removed);
	writer_put(answer, KEY_KEPT, "%zu", changes.kept);
	return 0;
}

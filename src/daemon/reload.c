/* SPDX-License-Identifier: BSD-3-Clause */

/* The request reload: its outcome in one packet, or a row for each problem in the rule files. */

#include "reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../util/macro.h"
#include "request.h"

/* A row for each problem, and then the last packet */
struct complaint {
	struct problems problems;
	bool good; /* the rules are in force, and the problems are warnings */
	struct writer end;
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

	(void)fds;
	(void)n_fds;
	if (complaint->at == complaint->problems.n) {
		*packet = complaint->end;
		return false;
	}
	problem = &complaint->problems.items[complaint->at++];
	writer_put(packet, KEY_ROW, "1");
	writer_put(packet, KEY_FILE, "%s", problem->file);
	writer_put(packet, KEY_LINE, "%u", problem->line);
	writer_put(packet, complaint->good ? KEY_WARNING : KEY_PROBLEM, "%.1000s", problem->text);
	return true;
}

static struct answer_source complaint_rows(struct complaint *complaint)
{
	return (struct answer_source){
		.next = complaint_next, .release = complaint_release, .state = complaint};
}

static int answer_problems(struct problems *problems, struct answer_source *rows)
{
	struct complaint *complaint = calloc(1, sizeof(*complaint));
	char text[1024];

	if (!complaint)
		return -ENOMEM;
	writer_put(&complaint->end, KEY_ERRNO, "%d", EBADMSG);
	writer_put(
		&complaint->end, KEY_REASON, "%s", problem_format(&problems->items[0], text, sizeof(text)));
	complaint->problems = *problems;
	*problems = PROBLEMS_NULL;
	*rows = complaint_rows(complaint);
	return 0;
}

/* The answer to a reload that is waiting until users and groups have been looked up */
struct reloaded {
	struct usherd *usherd;
	struct session *session;
	struct lookup_wait *wait;
	struct complaint *complaint;
};

static void reloaded_free(struct reloaded *reloaded)
{
	if (reloaded->complaint)
		complaint_release(reloaded->complaint);
	free(reloaded);
}

static void reloaded_freep(struct reloaded **reloaded)
{
	if (*reloaded)
		reloaded_free(*reloaded);
}

static void on_looked_up(void *userdata)
{
	_cleanup_(reloaded_freep) struct reloaded *reloaded = userdata;
	struct complaint *complaint = TAKE_PTR(reloaded->complaint);
	struct answer_source rows = complaint_rows(complaint);

	(void)access_table_warn(reloaded->usherd->broker.generation->access, &complaint->problems);
	session_answer_rows(reloaded->session, &rows);
	session_resume(reloaded->session);
}

static void on_cancel(void *userdata)
{
	struct reloaded *reloaded = userdata;

	lookup_cancel(reloaded->wait);
	reloaded_free(reloaded);
}

/* Return: whether the answer follows; it has a row for each user and group that is not known then. */
static bool answer_later(struct usherd *usherd, struct session *session, const struct writer *end)
{
	_cleanup_(reloaded_freep) struct reloaded *reloaded = calloc(1, sizeof(*reloaded));

	if (!reloaded)
		return false;
	*reloaded = (struct reloaded){
		.usherd = usherd, .session = session, .complaint = calloc(1, sizeof(*reloaded->complaint))};
	if (!reloaded->complaint)
		return false;
	reloaded->complaint->good = true;
	reloaded->complaint->end = *end;
	reloaded->wait = lookups_wait(usherd->broker.lookups, on_looked_up, reloaded);
	if (!reloaded->wait)
		return false;
	lookup_wait_for_all(reloaded->wait);
	if (lookup_wait_is_over(reloaded->wait)) {
		lookup_cancel(reloaded->wait);
		return false;
	}
	session_defer(session, on_cancel, TAKE_PTR(reloaded));
	return true;
}

int reload_rules(struct usherd *usherd, struct rule_changes *changes, struct problems *problems,
	struct refusal *refusal)
{
	int r = broker_reload(&usherd->broker, changes, problems, refusal);

	tally_reload(&usherd->tally, r);
	(void)door_read_owners(usherd->door);
	return r;
}

int request_reload(struct usherd *usherd, struct session *session, struct writer *answer,
	struct answer_source *rows, struct refusal *refusal)
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
	if (answer_later(usherd, session, answer))
		*answer = WRITER_NULL;
	return 0;
}

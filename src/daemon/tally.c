/* SPDX-License-Identifier: BSD-3-Clause */
#include "tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../util/errno_name.h"
#include "../util/macro.h"

static const int reasons[TALLY_REASONS - 1] = {E2BIG, EACCES, EAFNOSUPPORT, EBADF, EBUSY, EINVAL, EISCONN,
	ENOENT, ENOMEM, ENOSPC, ENOTSOCK, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EXDEV};

static const uint64_t bounds_usec[TALLY_TIMES] = {
	50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000};

void tally_reload(struct tally *tally, int failed)
{
	if (failed)
		tally->reloads_failed++;
	else
		tally->reloads++;
}

void tally_hand_in(struct tally *tally, int error)
{
	size_t i = 0;

	if (!error) {
		tally->hand_ins++;
		return;
	}
	while (i < ARRAY_SIZE(reasons) && reasons[i] != error)
		i++;
	tally->refused[i]++;
}

void tally_hand_in_time(uint64_t nsec, void *userdata)
{
	struct tally *tally = userdata;
	size_t i = 0;

	while (i < TALLY_TIMES && nsec > bounds_usec[i] * 1000)
		i++;
	tally->times[i]++;
	tally->nsec += nsec;
}

void tally_turn(struct tally *tally, uint64_t nsec)
{
	tally->slow_turns += nsec > TALLY_TURN_NSEC;
}

/* Lists are NAME:NUMBER, separated by spaces. */
static void append_count(char *list, size_t size, const char *name, uint64_t number)
{
	size_t length = strlen(list);

	(void)snprintf(list + length, size - length, "%s%s:%" PRIu64, length ? " " : "", name, number);
}

void tally_write(const struct tally *tally, struct writer *answer)
{
	char refused[TALLY_REASONS * 40] = "", times[(TALLY_TIMES + 1) * 32] = "";
	uint64_t sum = 0;

	for (size_t i = 0; i < TALLY_REASONS; i++)
		append_count(refused, sizeof(refused),
			i < ARRAY_SIZE(reasons) ? errno_name(reasons[i]) : "other", tally->refused[i]);
	for (size_t i = 0; i <= TALLY_TIMES; i++) {
		char bound[24] = "inf";

		sum += tally->times[i];
		if (i < TALLY_TIMES)
			(void)snprintf(bound, sizeof(bound), "%" PRIu64, bounds_usec[i]);
		append_count(times, sizeof(times), bound, sum);
	}
	writer_put(answer, KEY_RELOADS, "%" PRIu64, tally->reloads);
	writer_put(answer, KEY_RELOADS_FAILED, "%" PRIu64, tally->reloads_failed);
	writer_put(answer, KEY_HAND_INS, "%" PRIu64, tally->hand_ins);
	writer_put(answer, KEY_HAND_INS_REFUSED, "%s", refused);
	writer_put(answer, KEY_HAND_IN_TIMES, "%s", times);
	writer_put(answer, KEY_SLOW_TURNS, "%" PRIu64, tally->slow_turns);
	writer_put(answer, KEY_HAND_IN_NSEC, "%" PRIu64, tally->nsec);
}

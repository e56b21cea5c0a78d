/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reports of a worker that somebody else has a hold of
 *
 * The first byte says what is asked of it. Then come reports: a byte with the number of descriptors that are attached,
 * two with the size, and the packet itself. Whatever they are, each step ends at most once, and what the broker is then
 * shown of the parcel is as it relies on it.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"
#include "worker/parcel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ASK_TAKE = 1, /* descriptors that the broker has; otherwise to receive a packet */
	ASK_OWNER = 2,
	ASK_ANNOUNCE = 4,
	ASK_STAGE = 8,
	ASK_HOLD = 16,
	ASK_RELEASE = 32, /* while it is at work */
	ASK_CANCEL = 64,  /* at the first step */
};

#define TAKEN 3
#define STAGED 2

static struct {
	struct crew_user *user;
	struct parcel *parcel;
	uint8_t ask;
	bool failed, pending;
	unsigned n_received;
} test;

/* ---- a crew with one worker */

bool crew_is_stuck(const struct crew *crew, uid_t uid)
{
	(void)crew;
	(void)uid;
	return false;
}

int crew_refuse_stuck(uid_t uid, struct refusal *refusal)
{
	return refuse(refusal, EUSERS, "uid %u is stuck (EUSERS)", uid);
}

void crew_join(struct crew *crew, struct crew_user *user)
{
	(void)crew;
	test.user = user;
	user->ready(user);
}

void crew_leave(struct crew *crew, struct crew_user *user)
{
	(void)crew;
	assert(user == test.user && !test.failed);
	test.user = NULL;
}

int crew_send(struct crew_user *user, const struct work *work, const int *fds, size_t n_fds)
{
	(void)fds;
	assert(user == test.user);
	assert(work->kind != WORK_TAKE || n_fds == TAKEN);
	return 0;
}

/* As crew.c does */
static enum crew_progress deliver(const struct report *report, size_t size, struct packet *packet)
{
	enum crew_progress progress =
		work_report_check(report, size) ? test.user->report(test.user, report, packet) : CREW_WRONG;
	struct refusal refusal;

	if (progress == CREW_WRONG) {
		(void)refuse(&refusal, EPROTO, "makes no sense (EPROTO)");
		test.failed = true;
		test.user->failed(test.user, &refusal);
	}
	return progress;
}

/* ---- its user */

static void on_received(void *userdata)
{
	(void)userdata;
	assert(test.pending && (test.ask & ASK_ANNOUNCE));
	assert(++test.n_received == 1);
}

static void check_refusal(const struct refusal *refusal)
{
	assert(refusal->error > 0 && *refusal->text && text_is_clean(refusal->text, strlen(refusal->text)));
}

static void check_parcel(const struct parcel *parcel)
{
	bool refused = false;

	assert(parcel->result >= -4095 && parcel->result <= PACKET_END);
	assert(!parcel->lost == !test.failed);
	if (parcel->result == REFUSED && !parcel->refusal.error)
		abort();
	if (parcel->lost)
		return;
	assert(parcel->n <= PACKET_FDS_MAX && parcel->n_seen == parcel->n);
	assert(!(test.ask & ASK_TAKE) || parcel->n == TAKEN);
	for (size_t i = 0; i < parcel->n; i++) {
		const struct sight *sight = &parcel->sights[i];
		const struct socket_facts *facts = &sight->facts;

		assert(sight->result >= -4095 && sight->result <= REFUSED && sight->cookie_error >= 0);
		if (sight->result == REFUSED && !refused) {
			assert(parcel->refused <= i);
			check_refusal(&parcel->reason);
			refused = true;
		}
		if (sight->result)
			continue;
		assert(facts->protocol == IPPROTO_TCP || facts->protocol == IPPROTO_UDP);
		assert(facts->address_family == AF_INET || facts->address_family == AF_INET6);
	}
}

static void finish(void)
{
	parcel_release(TAKE_PTR(test.parcel), NULL, NULL);
}

static void on_closed(struct parcel *parcel, void *userdata)
{
	(void)userdata;
	assert(test.pending && !parcel->n_held);
	test.pending = false;
	finish();
}

static void on_staged(struct parcel *parcel, void *userdata)
{
	(void)userdata;
	assert(test.pending);
	test.pending = false;
	if (!parcel->lost) {
		assert(parcel->result <= 0 && (!parcel->result || parcel->failed < STAGED));
		assert(parcel->n_held <= (test.ask & ASK_HOLD ? 1 : 0) &&
			(!parcel->result || !parcel->n_held));
	}
	if (!parcel_is_open(parcel)) {
		finish();
		return;
	}
	test.pending = true;
	parcel_close(parcel, on_closed, NULL);
}

static void on_parcel(struct parcel *parcel, void *userdata)
{
	static const struct work_item items[STAGED] = {{.index = 0, .seat = 1}, {.index = 1, .seat = 2}};
	static const uint8_t hold[] = {0};

	(void)userdata;
	assert(test.pending);
	test.pending = false;
	check_parcel(parcel);
	if (!parcel_is_open(parcel) || !(test.ask & ASK_STAGE) || parcel->n < STAGED) {
		if (test.ask & ASK_CANCEL)
			finish(); /* otherwise it stays open, and the worker has nothing to say */
		return;
	}
	test.pending = true;
	parcel_stage(parcel, items, STAGED, hold, test.ask & ASK_HOLD ? 1 : 0, on_staged, NULL);
	if (test.ask & ASK_RELEASE)
		finish();
}

static void begin(uint8_t ask)
{
	static const int fds[TAKEN] = {-1, -1, -1};
	struct refusal refusal;

	memset(&test, 0, sizeof(test));
	test.ask = ask;
	test.pending = true;
	if (ask & ASK_TAKE)
		assert(parcel_take(NULL, fds, TAKEN, 1, on_parcel, NULL, &test.parcel) == 0);
	else
		assert(parcel_fetch(NULL, 1000, -1, ask & ASK_OWNER, 1,
			       ask & ASK_ANNOUNCE ? on_received : NULL, on_parcel, NULL, &test.parcel,
			       &refusal) == 0);
	if ((ask & (ASK_CANCEL | ASK_RELEASE)) == (ASK_CANCEL | ASK_RELEASE))
		finish();
}

static void end(void)
{
	finish();
	/* the worker ends, if it has not */
	if (test.user) {
		struct crew_user *user = test.user;

		test.user = NULL;
		user->gone(user);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct report report;

	if (!size)
		return 0;
	begin(data[0]);
	data++;
	size--;
	while (size >= 3 && test.user && !test.failed) {
		struct packet packet = PACKET_NULL;
		size_t length = data[1] | (size_t)data[2] << 8;

		packet.n_fds = data[0] % 70;
		memset(packet.fds, 0xff, sizeof(packet.fds)); /* none is open */
		data += 3;
		size -= 3;
		length = length < size ? length : size;
		memset(&report, 0, sizeof(report));
		memcpy(&report, data, length < sizeof(report) ? length : sizeof(report));
		(void)deliver(&report, length, &packet);
		data += length;
		size -= length;
	}
	end();
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* What the broker believes of a record in the pinned ring buffer: nothing that is not an event. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "datapath/event_record.h"

static const struct usher_event missing = {
	.version = USHER_EVENT_VERSION,
	.reason = USHER_EVENT_MISSING,
	.seat = 1,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
};

static bool is_event(const struct usher_event *event)
{
	struct usher_event read;

	return event_record_read(event, sizeof(*event), &read) && read.reason == event->reason;
}

static void test_events(void **state)
{
	struct usher_event event = missing, read;
	struct {
		struct usher_event event;
		uint64_t more;
	} newer = {.event = missing};

	(void)state;
	assert_true(is_event(&event));
	assert_true(event_record_read(&newer, sizeof(newer), &read)); /* of a newer program */
	assert_false(event_record_read(&event, USHER_EVENT_SIZE_MIN - 1, &read));
	event.device = 7;
	assert_true(event_record_read(&event, sizeof(event), &read));
	assert_int_equal(read.device, 7);
	assert_true(event_record_read(&event, USHER_EVENT_SIZE_MIN, &read)); /* of an older one */
	assert_int_equal(read.device, 0);
	event.reason = USHER_EVENT_DEVICE;
	event.error = -ENODEV;
	assert_true(is_event(&event));
	event.error = -EEXIST;
	assert_false(is_event(&event));
	event = missing;
	event.reason = USHER_EVENT_LISTENED;
	assert_true(is_event(&event));
	event.reason = USHER_EVENT_YIELDED;
	assert_true(is_event(&event));
	event.reason = USHER_EVENT_OBSTACLE; /* of a port, and of no seat */
	assert_false(is_event(&event));
	event.seat = 0;
	assert_true(is_event(&event));
	event = missing;
	event.reason = USHER_EVENT_REFUSED;
	event.error = -EEXIST;
	assert_true(is_event(&event));
	event.version++;
	assert_false(is_event(&event));
}

static void test_errors(void **state)
{
	struct usher_event event = missing;

	(void)state;
	event.error = -EEXIST;
	assert_false(is_event(&event));
	event.reason = USHER_EVENT_REFUSED;
	event.error = 0;
	assert_false(is_event(&event));
	event.error = EEXIST;
	assert_false(is_event(&event));
	event.error = INT32_MIN; /* there is no positive one */
	assert_false(is_event(&event));
	event.reason = USHER_EVENT_OBSTACLE + 1;
	event.error = 0;
	assert_false(is_event(&event));
}

static void test_values(void **state)
{
	struct usher_event event = missing;

	(void)state;
	event.seat = 0;
	assert_false(is_event(&event));
	event.seat = USHER_SEATS_MAX;
	assert_false(is_event(&event));
	event = missing;
	event.family = AF_UNIX;
	assert_false(is_event(&event));
	event = missing;
	event.protocol = IPPROTO_SCTP;
	assert_false(is_event(&event));
	event = missing;
	event.passed = 2;
	assert_false(is_event(&event));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

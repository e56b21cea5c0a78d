/* SPDX-License-Identifier: BSD-3-Clause */

/* Turns go round by uid, long ones come last but for their share, and other sources of the event loop come in between. */

#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "descriptors.h"
#include "intake/turns.h"
#include "util/macro.h"

#define CLIENTS 4096

struct client {
	struct turn turn;
	uid_t uid;
	bool is_long;
	unsigned again; /* it wants so many turns more */
};

static sd_event *event;
static struct turns *turns;
static struct client clients[CLIENTS];
static char served[65536]; /* the last digit of the uid of each turn; of long ones a letter */
static size_t n_served, n_before;

static void serve(void *userdata)
{
	struct client *client = userdata;

	served[n_served++] = (char)((client->is_long ? 'a' : '0') + (char)(client->uid % 10));
	served[n_served] = '\0';
	if (client->again && client->again--)
		turns_take(turns, &client->turn, client->uid, client->is_long);
}

static void take(struct client *client, uid_t uid, bool is_long)
{
	*client =
		(struct client){.turn = {.serve = serve, .userdata = client}, .uid = uid, .is_long = is_long};
	turns_take(turns, &client->turn, uid, is_long);
}

static void run(void)
{
	int r;

	while ((r = sd_event_run(event, 0)) > 0)
		;
	assert_int_equal(r, 0);
}

static int set_up(void **state)
{
	(void)state;
	n_before = descriptors_count();
	n_served = 0;
	served[0] = '\0';
	memset(clients, 0, sizeof(clients));
	assert_return_code(sd_event_new(&event), errno);
	assert_int_equal(turns_new(event, &turns), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_true(turns_are_free(turns));
	assert_null(turns_free(turns));
	assert_null(sd_event_unref(event));
	assert_int_equal(descriptors_count(), n_before);
	return 0;
}

static void uids_take_turns(void **state)
{
	(void)state;
	assert_true(turns_are_free(turns));
	for (unsigned i = 0; i < 6; i++)
		take(&clients[i], 1, false);
	take(&clients[6], 2, false);
	take(&clients[7], 3, false);
	take(&clients[8], 2, false);
	assert_false(turns_are_free(turns));
	run();
	assert_string_equal(served, "123121111");
	assert_true(turns_are_free(turns));
	run();
	assert_string_equal(served, "123121111");
}

/* Who comes while thousands of connections of another uid wait, and want more all the time, is the next but one. */
static void nobody_waits_for_a_crowd(void **state)
{
	(void)state;
	for (unsigned i = 1; i < CLIENTS; i++) {
		take(&clients[i], 1, false);
		clients[i].again = 3;
	}
	for (unsigned i = 0; i < 5; i++)
		assert_true(sd_event_run(event, 0) > 0);
	assert_string_equal(served, "11111");
	take(&clients[0], 2, false);
	assert_true(sd_event_run(event, 0) > 0 && sd_event_run(event, 0) > 0);
	assert_string_equal(served, "1111112");
	run();
	assert_int_equal(n_served, 4 * (CLIENTS - 1) + 1);
}

static void long_ones_have_their_share(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		take(&clients[i], i, true);
	for (unsigned i = 3; i < 24; i++)
		take(&clients[i], 5, false);
	run();
	assert_string_equal(served, "5555555a5555555b5555555c");
}

static void who_waits_already_waits_once(void **state)
{
	(void)state;
	take(&clients[0], 1, false);
	take(&clients[1], 1, false);
	turns_take(turns, &clients[0].turn, 1, false);
	turns_take(turns, &clients[0].turn, 1, true);
	run();
	assert_string_equal(served, "11");
}

static void clients_give_up(void **state)
{
	struct client nobody = {.uid = 0};

	(void)state;
	turns_give_up(&nobody.turn);
	for (unsigned i = 0; i < CLIENTS; i++)
		take(&clients[i], i % 1000, i % 3 == 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (i != 17 && i != 1018)
			turns_give_up(&clients[i].turn);
	run();
	assert_string_equal(served, "78");
	take(&clients[0], 1, false);
	turns_give_up(&clients[0].turn);
	turns_give_up(&clients[0].turn);
	assert_true(turns_are_free(turns));
	run();
	assert_string_equal(served, "78");
}

static int on_door(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	(void)userdata;
	served[n_served++] = 'D';
	return 0;
}

/* A source that is always ready, as a door to which somebody connects without end, and turns alternate. */
static void a_door_comes_in_between(void **state)
{
	_cleanup_close_ int door = eventfd(1, EFD_CLOEXEC);
	sd_event_source *source;

	(void)state;
	assert_return_code(sd_event_add_io(event, &source, door, EPOLLIN, on_door, NULL), errno);
	take(&clients[0], 1, false);
	clients[0].again = 20;
	for (unsigned i = 0; i < 20; i++)
		assert_true(sd_event_run(event, 0) > 0);
	for (unsigned i = 1; i < 20; i++)
		assert_true((served[i] == 'D') != (served[i - 1] == 'D'));
	sd_event_source_disable_unref(source);
	run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(uids_take_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_for_a_crowd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_ones_have_their_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_already_waits_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(clients_give_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_door_comes_in_between, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}

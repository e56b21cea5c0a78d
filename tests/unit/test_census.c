/* SPDX-License-Identifier: BSD-3-Clause */

/* What is counted while sockets come and go, against a count of everything. */

#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/census.h"

#define SEATS 24U
#define COOKIES 40U

static const char *const names[] = {
	"a", "b", "web", "web2", "z", "0123456789012345678901234567890123456789012345678901234567890ab"};

struct seat {
	uint64_t cookies[USHER_PLACES_MAX];
	unsigned n;
};

static const char *name_of(unsigned seat)
{
	return names[seat / 4 % (sizeof(names) / sizeof(names[0]))];
}

static void check(const struct census *census, const struct seat seats[static SEATS])
{
	size_t n_sockets = 0, n_names = 0, n_places = 0;

	for (uint64_t cookie = 1; cookie <= COOKIES; cookie++) {
		bool found = false;

		for (unsigned i = 0; i < SEATS; i++)
			for (unsigned k = 0; k < seats[i].n; k++)
				found = found || seats[i].cookies[k] == cookie;
		n_sockets += found;
	}
	for (unsigned i = 0; i < SEATS; i += 4) {
		bool found = false;

		for (unsigned k = i; k < i + 4; k++)
			found = found || seats[k].n;
		n_names += found;
	}
	for (unsigned i = 0; i < SEATS; i++)
		n_places += seats[i].n;
	assert_int_equal(census_sockets(census), n_sockets);
	assert_int_equal(census_names(census), n_names);
	assert_int_equal(census_places(census), n_places);
}

static void kept_as_recounted(void **state)
{
	struct census *census = census_new();
	struct seat seats[SEATS] = {};

	(void)state;
	assert_non_null(census);
	srandom(1);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)random() % SEATS;
		struct seat *seat = &seats[i];

		seat->n = random() % 3 ? (unsigned)random() % (USHER_PLACES_MAX + 1) : 0;
		for (unsigned k = 0; k < seat->n; k++)
			seat->cookies[k] = 1 + ((unsigned)random() % 5 + k * 5) % COOKIES;
		census_note(census, i + 1, name_of(i), seat->cookies, seat->n);
		check(census, seats);
	}
	for (unsigned i = 0; i < SEATS; i++)
		census_note(census, i + 1, name_of(i), NULL, 0);
	assert_int_equal(census_sockets(census) + census_names(census) + census_places(census), 0);
	assert_null(census_free(census));
	assert_null(census_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_as_recounted),
	};

	return cmocka_run_group_tests_name("census", tests, NULL, NULL);
}

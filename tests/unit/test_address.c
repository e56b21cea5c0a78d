/* SPDX-License-Identifier: BSD-3-Clause */

/* Addresses and endpoints */

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/address.h"
#include "util/macro.h"

/* The bytes after an IPv4 address are ignored. */
static int parse(const char *text, uint8_t address[static 16])
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	memset(address, 0xff, 16);
	assert_int_equal(inet_pton(family, text, address), 1);
	return family;
}

static void kinds(void **state)
{
	static const struct {
		const char *address;
		bool is_any, is_multicast;
	} cases[] = {
		{"0.0.0.0", true, false},
		{"0.0.0.1", false, false},
		{"128.0.0.0", false, false},
		{"223.255.255.255", false, false},
		{"224.0.0.0", false, true},
		{"239.255.255.255", false, true},
		{"240.0.0.0", false, false},
		{"255.255.255.255", false, false},
		{"::", true, false},
		{"::1", false, false},
		{"::ffff:0.0.0.0", false, false},
		{"feff::1", false, false},
		{"ff00::", false, true},
		{"ff02::1", false, true},
		{"e000::1", false, false},
	};
	uint8_t address[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int family = parse(cases[i].address, address);

		assert_int_equal(address_is_any(family, address), cases[i].is_any);
		assert_int_equal(address_is_multicast(family, address), cases[i].is_multicast);
	}
}

static void sizes(void **state)
{
	(void)state;
	assert_int_equal(address_size(AF_INET), 4);
	assert_int_equal(address_size(AF_INET6), 16);
	assert_int_equal(address_bits(AF_INET), 32);
	assert_int_equal(address_bits(AF_INET6), 128);
}

static void same(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	(void)parse("192.0.2.1", a);
	(void)parse("192.0.2.1", b);
	b[4] = 0;
	assert_true(address_is_same(AF_INET, a, b));
	assert_false(address_is_same(AF_INET6, a, b));
	b[3] = 2;
	assert_false(address_is_same(AF_INET, a, b));
}

static void endpoints(void **state)
{
	char text[ENDPOINT_TEXT_MAX];
	uint8_t address[16];

	(void)state;
	(void)parse("192.0.2.1", address);
	assert_string_equal(endpoint_format(AF_INET, address, 65535, text), "192.0.2.1:65535");
	(void)parse("1111:2222:3333:4444:5555:6666:7777:8888", address);
	assert_string_equal(
		endpoint_format(AF_INET6, address, 1, text), "[1111:2222:3333:4444:5555:6666:7777:8888]:1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(sizes),
		cmocka_unit_test(same),
		cmocka_unit_test(endpoints),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}

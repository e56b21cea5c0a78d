/* SPDX-License-Identifier: BSD-3-Clause */

#undef NDEBUG
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/macro.h"
#include "util/prefix.h"

static void good_ones(void **state)
{
	static const char *const cases[][2] = {
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"192.0.2.1", "192.0.2.1/32"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"255.255.255.255/32", "255.255.255.255/32"},
		{"128.0.0.0/1", "128.0.0.0/1"},
		{"192.0.2.128/25", "192.0.2.128/25"},
		{"2001:db8::/48", "2001:db8::/48"},
		{"2001:0DB8:0:0::1", "2001:db8::1/128"},
		{"::/0", "::/0"},
		{"::", "::/128"},
		{"::1", "::1/128"},
		{"fe80::/10", "fe80::/10"},
		{"::/95", "::/95"}, /* holds the v4-mapped addresses, which no IPv6 packet has */
		{"::fffe:0:0/96", "::fffe:0:0/96"},
		{"64:ff9b::192.0.2.1", "64:ff9b::c000:201/128"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct refusal refusal;
		struct prefix prefix;
		char text[PREFIX_TEXT_MAX];

		memset(&prefix, 0xaa, sizeof(prefix));
		assert_int_equal(prefix_parse(cases[i][0], &prefix, &refusal), 0);
		assert_string_equal(prefix_format(&prefix, text), cases[i][1]);
		for (unsigned k = 4; k < 16 && prefix.family == AF_INET; k++)
			assert_int_equal(prefix.address[k], 0);
	}
}

static void bad_ones(void **state)
{
	static const char *const cases[][2] = {
		{"", "'' is not an IP address or prefix"},
		{"192.0.2", "'192.0.2' is not an IP address or prefix"},
		{"192.0.2.0.1", "'192.0.2.0.1' is not an IP address or prefix"},
		{"192.0.2.256", "'192.0.2.256' is not an IP address or prefix"},
		{"/24", "'/24' is not an IP address or prefix"},
		{"fe80::1%lo", "'fe80::1%lo' is not an IP address or prefix"},
		{"[::1]", "'[::1]' is not an IP address or prefix"},
		{"192.0.2.0/", "'192.0.2.0/': the prefix length is not a number from 0 to 32"},
		{"192.0.2.0/33", "'192.0.2.0/33': the prefix length is not a number from 0 to 32"},
		{"192.0.2.0/24/24", "'192.0.2.0/24/24': the prefix length is not a number from 0 to 32"},
		{"192.0.2.0/255.255.255.0",
			"'192.0.2.0/255.255.255.0': the prefix length is not a number from 0 to 32"},
		{"192.0.2.0/ 24", "'192.0.2.0/ 24': the prefix length is not a number from 0 to 32"},
		{"::/129", "'::/129': the prefix length is not a number from 0 to 128"},
		{"::/-1", "'::/-1': the prefix length is not a number from 0 to 128"},
		{"192.0.2.1/24", "'192.0.2.1/24' has host bits set; did you mean 192.0.2.0/24?"},
		{"192.0.2.1/31", "'192.0.2.1/31' has host bits set; did you mean 192.0.2.0/31?"},
		{"192.0.2.1/0", "'192.0.2.1/0' has host bits set; did you mean 0.0.0.0/0?"},
		{"2001:db8::1/127", "'2001:db8::1/127' has host bits set; did you mean 2001:db8::/127?"},
		{"::ffff:192.0.2.1", "'::ffff:192.0.2.1' is a v4-mapped prefix; write it as IPv4"},
		{"::ffff:0:0/96", "'::ffff:0:0/96' is a v4-mapped prefix; write it as IPv4"},
		{"::ffff:c000:200/120", "'::ffff:c000:200/120' is a v4-mapped prefix; write it as IPv4"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix prefix = {.length = 77};
		struct refusal refusal;

		assert_int_equal(prefix_parse(cases[i][0], &prefix, &refusal), REFUSED);
		assert_string_equal(refusal.text, cases[i][1]);
		assert_int_equal(refusal.error, EINVAL);
		assert_int_equal(prefix.length, 77);
	}
}

static void contains(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool result;
	} cases[] = {
		{"192.0.2.0/24", "192.0.2.0", true},
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.0/24", "192.0.1.255", false},
		{"192.0.2.0/25", "192.0.2.128", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.0", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::", false},
		{"::/0", "ffff::1", true},
		{"::/0", "127.0.0.1", false},
		{"2001:db8::/47", "2001:db8:1::", true},
		{"2001:db8::/47", "2001:db8:2::", false},
		{"::1", "::1", true},
		{"::1", "::", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int family = strchr(cases[i].address, ':') ? AF_INET6 : AF_INET;
		struct refusal refusal;
		struct prefix prefix;
		uint8_t address[16];

		memset(address, 0xff,
			sizeof(address)); /* an IPv4 address is 4 bytes: the others are ignored */
		assert_int_equal(inet_pton(family, cases[i].address, address), 1);
		assert_int_equal(prefix_parse(cases[i].prefix, &prefix, &refusal), 0);
		assert_int_equal(prefix_contains(&prefix, family, address), cases[i].result);
	}
}

static void addresses(void **state)
{
	static const struct {
		const char *prefix;
		bool result;
	} cases[] = {{"192.0.2.1", true}, {"192.0.2.1/32", true}, {"192.0.2.0/31", false}, {"::/32", false},
		{"::1", true}, {"::/0", false}};
	struct refusal refusal;
	struct prefix prefix;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(prefix_parse(cases[i].prefix, &prefix, &refusal), 0);
		assert_int_equal(prefix_is_address(&prefix), cases[i].result);
	}
	assert_false(prefix_is_address(&(struct prefix){.family = AF_UNSPEC}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(contains),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests_name("prefix", tests, NULL, NULL);
}

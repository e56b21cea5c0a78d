/* SPDX-License-Identifier: BSD-3-Clause */

/* The compiled image: the examples of docs/rules.md, conflicts, limits, and large rule sets */

#undef NDEBUG
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "image/image.h"
#include "rule/parse.h"

#define NAMES_MAX 2000

struct compiled {
	struct rule_set *set;
	struct image *image;
	struct problems problems;
	int result;
};

/* Rules as NAME, TEXT, NAME, TEXT, ..., NULL; names in the order of strcmp(3). */
static struct compiled compile(const char *const *rules)
{
	struct compiled compiled = {.set = calloc(1, sizeof(struct rule_set))};

	assert_non_null(compiled.set);
	compiled.set->rules = calloc(NAMES_MAX, sizeof(struct rule));
	assert_non_null(compiled.set->rules);
	for (; *rules; rules += 2) {
		assert_int_equal(parse_rule(rules[0], rules[0], rules[1], strlen(rules[1]),
					 &compiled.set->rules[compiled.set->n_rules], &compiled.problems),
			0);
		compiled.set->n_rules++;
	}
	compiled.result = image_compile(compiled.set, &compiled.image, &compiled.problems);
	return compiled;
}

static void compiled_free(struct compiled *compiled)
{
	image_free(compiled->image);
	rule_set_free(compiled->set);
	problems_deinit(&compiled->problems);
}

/* Which name gets "tcp 192.0.2.1 80"? NAME, NAME (pass), or none. */
static const char *ask(const struct compiled *compiled, const char *question)
{
	static char answer[NAME_MAX];
	char protocol[4], text[INET6_ADDRSTRLEN];
	uint8_t address[16];
	unsigned port;
	uint32_t word;
	int family;

	assert_int_equal(sscanf(question, "%3s %45s %u", protocol, text, &port), 3);
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(family, text, address), 1);
	word = image_lookup(compiled->image, family, !strcmp(protocol, "udp") ? IPPROTO_UDP : IPPROTO_TCP,
		address, (uint16_t)port);
	if (!word)
		return "none";
	(void)snprintf(answer, sizeof(answer), "%s%s", compiled->image->seats[word].name,
		compiled->image->seats[word].pass ? " (pass)" : "");
	return answer;
}

/* Questions and answers, ..., NULL */
static void check_answers(const struct compiled *compiled, const char *const *cases)
{
	assert_int_equal(compiled->result, 0);
	for (; *cases; cases += 2)
		if (strcmp(ask(compiled, cases[0]), cases[1]) != 0)
			fail_msg("%s: %s, not %s", cases[0], ask(compiled, cases[0]), cases[1]);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void no_rules(void **state)
{
	struct compiled compiled = compile((const char *const[]){NULL});

	(void)state;
	check_answers(&compiled, LIST("tcp 192.0.2.1 80", "none", "udp ::1 0", "none"));
	assert_int_equal(compiled.image->n_seats, 1);
	assert_null(compiled.image->seats[0].name);
	compiled_free(&compiled);
}

static void families_are_apart(void **state)
{
	struct compiled compiled = compile(LIST("four", "[Rule]\nStream=0.0.0.0/0:80", "six",
		"[Rule]\nStream=[::/0]:80", "both", "[Rule]\nStream=81"));

	(void)state;
	check_answers(&compiled,
		LIST("tcp 192.0.2.1 80", "four", "tcp ::1 80", "six", "tcp 192.0.2.1 81", "both",
			"tcp ::1 81", "both", "udp ::1 81", "none", "tcp ::ffff:192.0.2.1 80", "six"));
	assert_int_equal(compiled.image->n_seats, 1 + 1 + 1 + 2);
	assert_int_equal(compiled.image->n_classes, 0); /* length 0 needs no class */
	compiled_free(&compiled);
}

static void one_port_two_services(void **state)
{
	struct compiled compiled = compile(LIST("shop", "[Rule]\nStream=198.51.100.0/24:80", "web",
		"[Rule]\nStream=192.0.2.0/24:80\nMissing=pass"));

	(void)state;
	check_answers(&compiled,
		LIST("tcp 192.0.2.1 80", "web (pass)", "tcp 198.51.100.255 80", "shop", "tcp 198.51.101.0 80",
			"none", "tcp 192.0.2.1 81", "none", "udp 192.0.2.1 80", "none"));
	assert_int_equal(compiled.image->n_classes, 1);
	assert_int_equal(compiled.image->n_prefixes, 2);
	compiled_free(&compiled);
}

/* docs/rules.md, "Who wins": keep them together. */
static void the_table_of_the_documentation(void **state)
{
	struct compiled compiled = compile(LIST("all", "[Rule]\nStream=*", "host",
		"[Rule]\nStream=192.0.2.1:*", "https", "[Rule]\nStream=443", "net",
		"[Rule]\nStream=192.0.2.0/24:1-1023", "web", "[Rule]\nStream=192.0.2.0/24:80"));

	(void)state;
	check_answers(&compiled,
		LIST("tcp 192.0.2.1 80", "host", "tcp 192.0.2.7 80", "web", "tcp 192.0.2.7 443", "net",
			"tcp 192.0.2.7 8080", "all", "tcp 198.51.100.1 443", "https", "tcp 198.51.100.1 80",
			"all", "tcp 2001:db8::1 443", "https", "udp 192.0.2.1 80", "none"));
	compiled_free(&compiled);
}

static void equal_widths_that_do_not_meet(void **state)
{
	struct compiled compiled =
		compile(LIST("a", "[Rule]\nStream=8000-8099", "b", "[Rule]\nStream=8100-8199", "c",
			"[Rule]\nStream=8050-8149\nStream=8050-8060", "d", "[Rule]\nDatagram=8000-8099"));

	(void)state;
	assert_int_equal(compiled.result, IMAGE_CONFLICT);
	assert_int_equal(compiled.problems.n, 2); /* c with a, c with b */
	compiled_free(&compiled);
	compiled = compile(LIST("a", "[Rule]\nStream=8000-8099", "b", "[Rule]\nStream=8100-8199", "c",
		"[Rule]\nStream=8050-8148\nStream=8050-8060", "d", "[Rule]\nDatagram=8000-8099"));
	check_answers(&compiled, LIST("tcp ::1 8049", "a", "tcp ::1 8050", "c", "tcp ::1 8099", "c",
					 "tcp ::1 8148", "c", "tcp ::1 8149", "b", "udp ::1 8050", "d"));
	compiled_free(&compiled);
}

static void check_problem(const struct compiled *compiled, size_t i, const char *expected)
{
	char text[1024];

	assert_int_equal(compiled->result, IMAGE_CONFLICT);
	assert_true(i < compiled->problems.n);
	assert_string_equal(problem_format(&compiled->problems.items[i], text, sizeof(text)), expected);
}

static void a_conflict_names_both_places(void **state)
{
	struct compiled compiled =
		compile(LIST("a", "[Rule]\nStream=80\nDatagram=192.0.2.0/24:53 192.0.2.0/24:53", "b",
			"[Rule]\n\nStream=0.0.0.0/0:80\nDatagram=192.0.2.0/24:53\nDatagram=192.0.2.0/24:53"));

	(void)state;
	assert_int_equal(compiled.problems.n, 3);
	check_problem(&compiled, 0,
		"b:3: Stream=0.0.0.0/0:80 conflicts with Stream=80 of the rule 'a' at a:2: the same prefix (any address counts as length 0) and port ranges of equal width; narrow one of them or remove it");
	check_problem(&compiled, 1,
		"b:4: Datagram=192.0.2.0/24:53 conflicts with Datagram=192.0.2.0/24:53 of the rule 'a' at a:3: the same prefix and port ranges of equal width; narrow one of them or remove it");
	check_problem(&compiled, 2,
		"b:5: Datagram=192.0.2.0/24:53 conflicts with Datagram=192.0.2.0/24:53 of the rule 'a' at a:3: the same prefix and port ranges of equal width; narrow one of them or remove it");
	compiled_free(&compiled);
}

static void any_address_conflicts_once(void **state)
{
	struct compiled compiled = compile(LIST("a", "[Rule]\nStream=80", "b", "[Rule]\nStream=80"));

	(void)state;
	assert_int_equal(compiled.problems.n, 1);
	check_problem(&compiled, 0,
		"b:2: Stream=80 conflicts with Stream=80 of the rule 'a' at a:2: the same prefix and port ranges of equal width; narrow one of them or remove it");
	compiled_free(&compiled);
}

static void a_conflict_under_a_narrower_match_is_one(void **state)
{
	struct compiled compiled =
		compile(LIST("a", "[Rule]\nStream=80-81 80 81", "b", "[Rule]\nStream=80-81"));

	(void)state;
	assert_int_equal(compiled.problems.n, 1);
	compiled_free(&compiled);
}

/* `n` rules of one match for each protocol and address family: four seats each. */
static struct compiled compile_many(unsigned n)
{
	static char names[NAMES_MAX][16], texts[NAMES_MAX][64];
	static const char *rules[2 * NAMES_MAX + 1];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "r%04u", i);
		(void)snprintf(texts[i], sizeof(texts[i]), "[Rule]\nStream=%u\nDatagram=%s%u", i + 1,
			i == 1023 ? "0.0.0.0/0:" : "", i + 1);
		rules[2 * i] = names[i];
		rules[2 * i + 1] = texts[i];
	}
	rules[2 * n] = NULL;
	return compile(rules);
}

struct listed {
	const struct compiled *compiled;
	char lines[4][128];
	size_t n;
};

static void list_prefix(const struct prefix *prefix, uint32_t word, void *userdata)
{
	struct listed *listed = userdata;
	char text[PREFIX_TEXT_MAX];

	assert_true(listed->n < 4);
	(void)snprintf(listed->lines[listed->n++], 128, "%s %s", prefix_format(prefix, text),
		listed->compiled->image->seats[word].name);
}

static int compare_line(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void the_prefixes_of_a_port(void **state)
{
	static const struct {
		int family, protocol;
		uint16_t port;
		const char *lines[5];
	} expected[] = {
		{AF_INET, IPPROTO_TCP, 80, {"0.0.0.0/0 any", "192.0.2.0/24 web", "192.0.2.1/32 shop"}},
		{AF_INET, IPPROTO_TCP, 81, {"0.0.0.0/0 any", "192.0.2.0/24 web"}},
		{AF_INET, IPPROTO_TCP, 82, {"0.0.0.0/0 any"}},
		{AF_INET6, IPPROTO_TCP, 80, {"::/0 any"}},
		{AF_INET, IPPROTO_TCP, 83, {}},
		{AF_INET, IPPROTO_UDP, 80, {}},
	};
	struct compiled compiled = compile((const char *[]){"any", "[Rule]\nStream=80-82\n", "shop",
		"[Rule]\nStream=192.0.2.1:80\n", "web", "[Rule]\nStream=192.0.2.0/24:80-81\n", NULL});

	(void)state;
	assert_int_equal(compiled.result, 0);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct listed listed = {.compiled = &compiled};

		image_foreach_prefix(compiled.image, expected[i].family, expected[i].protocol,
			expected[i].port, list_prefix, &listed);
		qsort(listed.lines, listed.n, sizeof(listed.lines[0]), compare_line);
		for (size_t j = 0; j < listed.n; j++)
			assert_string_equal(
				listed.lines[j], expected[i].lines[j] ? expected[i].lines[j] : "");
		assert_null(expected[i].lines[listed.n]);
	}
	compiled_free(&compiled);
}

static void at_most_4095_seats(void **state)
{
	struct compiled compiled = compile_many(1024);
	char text[512];

	(void)state;
	assert_int_equal(compiled.result, 0);
	assert_int_equal(compiled.image->n_seats, USHER_SEATS_MAX);
	check_answers(&compiled, LIST("tcp ::1 1024", "r1023", "udp ::1 1024", "none"));
	compiled_free(&compiled);
	compiled = compile_many(1025);
	assert_int_equal(compiled.result, IMAGE_TOO_LARGE);
	assert_int_equal(compiled.problems.n, 1);
	assert_string_equal(problem_format(&compiled.problems.items[0], text, sizeof(text)),
		"r1024: with this rule, the rules need more than 4095 seats (one for each name, protocol and family); remove rules, or write prefixes of only one family where both are not needed");
	compiled_free(&compiled);
}

/* "[Rule]\n" and lines of `n` IPv4 hosts, counted from `base` */
static char *hosts_of(const char *key, unsigned base, unsigned n, const char *ports)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	fputs("[Rule]\n", file);
	for (unsigned i = base; i < base + n; i++)
		fprintf(file, "%s=10.%u.%u.%u:%s\n", key, i >> 16, i >> 8 & 255, i & 255, ports);
	assert_int_equal(fclose(file), 0);
	return text;
}

static char *hosts(unsigned base, unsigned n, const char *ports)
{
	return hosts_of("Stream", base, n, ports);
}

/* The same with a port for each host, from `port` on in steps of `step` */
static char *hosts_with_ports(unsigned base, unsigned n, unsigned port, unsigned step)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	fputs("[Rule]\n", file);
	for (unsigned i = 0; i < n; i++, port += step)
		fprintf(file, "Stream=10.%u.%u.%u:%u\n", (base + i) >> 16, (base + i) >> 8 & 255,
			(base + i) & 255, port);
	assert_int_equal(fclose(file), 0);
	return text;
}

static double cpu_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Compile again, to measure the time. The limit is far above what it takes, and far below what n * n steps take. */
static void check_time(const struct compiled *compiled, const char *what)
{
	struct problems problems = PROBLEMS_NULL;
	double start = cpu_seconds(), seconds;
	struct image *image = NULL;

	assert_int_equal(image_compile(compiled->set, &image, &problems), 0);
	seconds = cpu_seconds() - start;
	print_message("# %s: %.3f s\n", what, seconds);
	assert_true(seconds < 10);
	image_free(image);
}

static void a_hundred_thousand_prefixes_on_a_port(void **state)
{
	char *a = hosts(0, 50000, "443"), *b = hosts(50000, 50000, "443");
	struct compiled compiled = compile(LIST("a", a, "b", b));

	(void)state;
	check_answers(&compiled, LIST("tcp 10.0.0.0 443", "a", "tcp 10.0.195.79 443", "a",
					 "tcp 10.0.195.80 443", "b", "tcp 10.1.134.159 443", "b",
					 "tcp 10.1.134.160 443", "none", "tcp 10.0.0.0 444", "none"));
	assert_int_equal(compiled.image->n_prefixes, 100000);
	assert_int_equal(compiled.image->n_classes, 1);
	check_time(&compiled, "100,000 prefixes, one port");
	compiled_free(&compiled);
	free(a);
	free(b);
}

static void every_port_of_many_prefixes_is_one_class(void **state)
{
	char *a = hosts(0, 100000, "*");
	struct compiled compiled = compile(LIST("a", a, "b", "[Rule]\nStream=*"));

	(void)state;
	check_answers(&compiled, LIST("tcp 10.0.0.0 1", "a", "tcp 10.1.134.159 65535", "a",
					 "tcp 10.1.134.160 7", "b", "tcp ::1 7", "b"));
	assert_int_equal(compiled.image->n_prefixes, 100001);
	assert_int_equal(compiled.image->n_classes, 1);
	check_time(&compiled, "100,000 prefixes, 65,535 ports");
	compiled_free(&compiled);
	free(a);
}

/* Classes are identified by their contents: the set of prefixes alternates at each of 60,000 ports. */
static void ports_with_equal_prefixes_share_a_class(void **state)
{
	size_t size;
	char *text, *a = hosts(0, 100000, "*");
	FILE *file = open_memstream(&text, &size);
	struct compiled compiled;

	(void)state;
	fputs("[Rule]\n", file);
	for (unsigned port = 2; port < 60000; port += 2)
		fprintf(file, "Stream=192.0.2.0/24:%u\n", port);
	fclose(file);
	compiled = compile(LIST("a", a, "b", text));
	check_answers(&compiled,
		LIST("tcp 192.0.2.1 2", "b", "tcp 192.0.2.1 3", "none", "tcp 10.0.0.1 2", "a",
			"tcp 10.0.0.1 3", "a", "tcp 192.0.2.1 59998", "b", "tcp 10.0.0.1 60002", "a"));
	assert_int_equal(compiled.image->n_classes, 2);
	assert_int_equal(compiled.image->n_prefixes, 100000 + 100001);
	check_time(&compiled, "100,000 prefixes, 30,000 single ports beside them");
	compiled_free(&compiled);
	free(a);
	free(text);
}

static void thirty_thousand_ranges_of_a_prefix(void **state)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);
	struct compiled compiled;

	(void)state;
	fputs("[Rule]\n", file);
	for (unsigned i = 1; i <= 30000; i++) /* one within the other */
		fprintf(file, "Stream=%u-%u\n", i, 65536 - i);
	fclose(file);
	compiled = compile(LIST("a", text, "b", "[Rule]\nStream=30001-35535"));
	check_answers(&compiled,
		LIST("tcp ::1 30000", "a", "tcp ::1 30001", "b", "tcp ::1 35536", "a", "tcp ::1 1", "a"));
	check_time(&compiled, "30,000 ranges, one within the other");
	compiled_free(&compiled);
	free(text);
}

static void at_most_two_million_prefixes(void **state)
{
	char *a = hosts(0, 1000, "*"), *b = hosts_with_ports(1000, 2500, 10, 2);
	struct compiled compiled = compile(LIST("a", a, "b", b));
	char text[512];

	(void)state;
	assert_int_equal(compiled.result, IMAGE_TOO_LARGE);
	assert_null(compiled.image);
	assert_int_equal(compiled.problems.n, 1);
	assert_string_equal(problem_format(&compiled.problems.items[0], text, sizeof(text)),
		"a: the rules need more than 2000000 prefixes in the kernel, most of them for this rule: each set of ports to which different matches apply has its own prefixes; write fewer port ranges that overlap with many prefixes");
	compiled_free(&compiled);
	free(b);
	b = hosts_with_ports(1000, 1995, 10, 2); /* 1995 * 1001 + 1000 */
	compiled = compile(LIST("a", a, "b", b));
	assert_int_equal(compiled.result, 0);
	assert_int_equal(compiled.image->n_prefixes, 1995 * 1001 + 1000);
	compiled_free(&compiled);
	free(a);
	free(b);
}

/* The set that does not fit is counted too: the single host before it is not to blame. */
static void the_rule_with_most_prefixes_is_named(void **state)
{
	char *b = hosts(0, 600000, "80"), *c = hosts(600000, 900000, "80"), *d = hosts(1500000, 600000, "80");
	struct compiled compiled = compile(LIST("a", "[Rule]\nStream=192.0.2.1:79", "b", b, "c", c, "d", d));

	(void)state;
	assert_int_equal(compiled.result, IMAGE_TOO_LARGE);
	assert_int_equal(compiled.problems.n, 1);
	assert_string_equal(compiled.problems.items[0].file, "c");
	compiled_free(&compiled);
	free(b);
	free(c);
	free(d);
}

/* Tables that a reload takes over count like those that it compiles: otherwise the next start would refuse the rules. */
static void at_most_two_million_prefixes_after_a_reload(void **state)
{
	char *tcp = hosts(0, 1000000, "80"), *more = hosts(1000000, 200000, "80"),
	     *udp = hosts_of("Datagram", 0, 900000, "80");
	struct compiled before = compile(LIST("udp", udp)),
			after = compile(LIST("more", more, "tcp", tcp, "udp", udp));
	struct image *image = NULL;

	(void)state;
	assert_int_equal(before.result, 0);
	assert_int_equal(after.result, IMAGE_TOO_LARGE);
	assert_int_equal(image_recompile(before.set, before.image, after.set, &image, &after.problems),
		IMAGE_TOO_LARGE);
	assert_null(image);
	assert_int_equal(after.problems.n, 2); /* one for each attempt */
	compiled_free(&before);
	compiled_free(&after);
	free(tcp);
	free(more);
	free(udp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rules),
		cmocka_unit_test(families_are_apart),
		cmocka_unit_test(one_port_two_services),
		cmocka_unit_test(the_table_of_the_documentation),
		cmocka_unit_test(equal_widths_that_do_not_meet),
		cmocka_unit_test(a_conflict_names_both_places),
		cmocka_unit_test(any_address_conflicts_once),
		cmocka_unit_test(a_conflict_under_a_narrower_match_is_one),
		cmocka_unit_test(the_prefixes_of_a_port),
		cmocka_unit_test(at_most_4095_seats),
		cmocka_unit_test(a_hundred_thousand_prefixes_on_a_port),
		cmocka_unit_test(every_port_of_many_prefixes_is_one_class),
		cmocka_unit_test(ports_with_equal_prefixes_share_a_class),
		cmocka_unit_test(thirty_thousand_ranges_of_a_prefix),
		cmocka_unit_test(at_most_two_million_prefixes),
		cmocka_unit_test(the_rule_with_most_prefixes_is_named),
		cmocka_unit_test(at_most_two_million_prefixes_after_a_reload),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* What the broker believes of a worker: nothing that is not a report. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/work.h"

static struct report report;

static bool is_report(void)
{
	return work_report_check(&report, offsetof(struct report, sights) + report.n * sizeof(struct sight));
}

static void make_parcel(void)
{
	report = (struct report){.kind = REPORT_PARCEL, .total = 2, .n = 2, .refused = UINT32_MAX};
	for (size_t i = 0; i < 2; i++)
		report.sights[i].facts = (struct socket_facts){.cookie = i + 1,
			.protocol = IPPROTO_TCP,
			.serves_ipv4 = true,
			.address_family = AF_INET};
}

static void test_reports(void **state)
{
	(void)state;
	make_parcel();
	assert_true(is_report());
	report.total = 253; /* more follow */
	assert_true(is_report());
	report.sights[1].result = REFUSED;
	report.refused = 1;
	(void)refuse(&report.refusal, ENOTSOCK, "is a file");
	assert_true(is_report());
	report = (struct report){.kind = REPORT_PARCEL, .refused = UINT32_MAX, .result = PACKET_END};
	assert_true(is_report());
	report = (struct report){.kind = REPORT_STAGED, .result = -E2BIG};
	assert_true(is_report());
	report = (struct report){.kind = REPORT_CLOSED};
	assert_true(is_report());
}

static void test_sizes_and_kinds(void **state)
{
	const size_t size = offsetof(struct report, sights);

	(void)state;
	report = (struct report){.kind = REPORT_CLOSED};
	assert_false(work_report_check(&report, 0));
	assert_false(work_report_check(&report, size - 1));
	assert_false(work_report_check(&report, size + 1));
	report.n = 1;
	assert_false(is_report());
	report.n = UINT32_MAX;
	assert_false(work_report_check(&report, size));
	report = (struct report){.kind = REPORT_SKIPPED + 1};
	assert_false(is_report());
}

static void test_counts(void **state)
{
	(void)state;
	make_parcel();
	report.total = 254; /* no packet has as many */
	assert_false(is_report());
	report.total = 1;
	assert_false(is_report());
	report.total = 2;
	report.first = 1;
	assert_false(is_report());
	report.first = UINT32_MAX - 1;
	assert_false(is_report());
	make_parcel();
	report.n = 0; /* this would never end */
	assert_false(is_report());
}

static void test_refusals(void **state)
{
	(void)state;
	make_parcel();
	report.sights[1].result = REFUSED; /* for no reason */
	assert_false(is_report());
	report.refused = 1;
	assert_false(is_report());
	(void)refuse(&report.refusal, ENOTSOCK, "is a file");
	assert_true(is_report());
	report.refused = 2;
	assert_false(is_report());
	report.refused = 1;
	memset(report.refusal.text, 'x', sizeof(report.refusal.text)); /* without an end */
	assert_false(is_report());
	(void)refuse(&report.refusal, ENOTSOCK, "is a file");
	report.refusal.text[0] = '\033';
	assert_false(is_report());
	report.refusal.text[0] = 0;
	assert_false(is_report());
}

static void test_sights(void **state)
{
	struct socket_facts *facts = &report.sights[0].facts;

	(void)state;
	make_parcel();
	facts->protocol = IPPROTO_SCTP;
	assert_false(is_report());
	make_parcel();
	facts->address_family = AF_UNIX;
	assert_false(is_report());
	make_parcel();
	memset(&facts->serves_ipv6, 2, sizeof(facts->serves_ipv6));
	assert_false(is_report());
	make_parcel();
	report.sights[0].result = 2;
	assert_false(is_report());
	report.sights[0].result = -4096;
	assert_false(is_report());
	report.sights[0].result = -EBADF;
	assert_true(is_report());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_sizes_and_kinds),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_sights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

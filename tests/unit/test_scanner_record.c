/* SPDX-License-Identifier: BSD-3-Clause */

/* What usher-discover believes of the process that scans for it: nothing that is not a record. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "discover/scanner_record.h"
#include "util/macro.h"

static struct scanner_record make_complaint(void)
{
	struct scanner_record record = {
		.kind = SCANNER_COMPLAINT,
		.complaint = {.port = 80,
			.protocol = IPPROTO_TCP,
			.family = AF_INET,
			.error = EACCES,
			.name = "web",
			.text = "is open in 'sh'"},
	};

	return record;
}

static bool is_record(const struct scanner_record *record)
{
	return scanner_record_check(record, sizeof(*record));
}

static void test_records(void **state)
{
	struct scanner_record complaint = make_complaint(), end = {.kind = SCANNER_END, .is_new = true},
			      failure = {.kind = SCANNER_FAILURE};

	(void)state;
	assert_true(is_record(&complaint));
	assert_true(is_record(&end));
	assert_true(is_record(&failure));
}

static void test_sizes_and_kinds(void **state)
{
	struct scanner_record record = {.kind = SCANNER_END};

	(void)state;
	assert_false(scanner_record_check(&record, 0));
	assert_false(scanner_record_check(&record, sizeof(record) - 1));
	assert_false(scanner_record_check(&record, sizeof(record) + 1));
	record.kind = 0;
	assert_false(is_record(&record));
	record.kind = SCANNER_END + 1;
	assert_false(is_record(&record));
	record.kind = SCANNER_END;
	memset(&record.is_moving, 2, sizeof(record.is_moving));
	assert_false(is_record(&record));
}

/* Each byte of a complaint may have any value: nothing is read past the end of a text. */
static void test_texts_without_end(void **state)
{
	struct scanner_record record = make_complaint();
	struct complaint *complaint = &record.complaint;
	const struct {
		char *text;
		size_t size;
	} texts[] = {
		{complaint->name, sizeof(complaint->name)},
		{complaint->process, sizeof(complaint->process)},
		{complaint->unit, sizeof(complaint->unit)},
		{complaint->text, sizeof(complaint->text)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		record = make_complaint();
		memset(texts[i].text, 'a', texts[i].size);
		assert_false(is_record(&record));
		texts[i].text[texts[i].size - 1] = 0;
		assert_true(is_record(&record));
	}
	record.kind = SCANNER_FAILURE;
	memset(complaint->text, 'a', sizeof(complaint->text));
	assert_false(is_record(&record));
}

static void test_values(void **state)
{
	struct scanner_record record = make_complaint();

	(void)state;
	record.complaint.protocol = IPPROTO_SCTP;
	assert_false(is_record(&record));
	record = make_complaint();
	record.complaint.family = AF_UNIX;
	assert_false(is_record(&record));
	record = make_complaint();
	record.complaint.error = 0;
	assert_false(is_record(&record));
	record.complaint.error = 4096;
	assert_false(is_record(&record));
	record = make_complaint();
	record.complaint.pid = -1;
	assert_false(is_record(&record));
	record = make_complaint();
	record.complaint.name[0] = '-';
	assert_false(is_record(&record));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_sizes_and_kinds),
		cmocka_unit_test(test_texts_without_end),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests_name("scanner_record", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "scanner_record.h"

#include <netinet/in.h>
#include <string.h>

#include "../util/error.h"

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size);
}

static bool is_flag(const bool *flag)
{
	uint8_t byte;

	memcpy(&byte, flag, sizeof(byte));
	return byte <= 1;
}

static bool check_complaint(const struct complaint *complaint)
{
	return is_text(complaint->name, sizeof(complaint->name)) && name_is_valid(complaint->name) &&
	       is_text(complaint->process, sizeof(complaint->process)) &&
	       is_text(complaint->unit, sizeof(complaint->unit)) &&
	       is_text(complaint->text, sizeof(complaint->text)) && complaint->error > 0 &&
	       complaint->error <= ERRNO_MAX && complaint->pid >= 0 &&
	       (complaint->family == AF_INET || complaint->family == AF_INET6) &&
	       (complaint->protocol == IPPROTO_TCP || complaint->protocol == IPPROTO_UDP);
}

bool scanner_record_check(const struct scanner_record *record, size_t size)
{
	if (size != sizeof(*record) || !is_flag(&record->is_new) || !is_flag(&record->is_moving) ||
		!is_flag(&record->is_unfinished))
		return false;
	switch (record->kind) {
	case SCANNER_COMPLAINT:
		return check_complaint(&record->complaint);
	case SCANNER_FAILURE:
		return is_text(record->complaint.text, sizeof(record->complaint.text));
	}
	return record->kind == SCANNER_END;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "work.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/text.h"

static bool is_flag(const bool *flag)
{
	uint8_t byte;

	memcpy(&byte, flag, sizeof(byte));
	return byte <= 1;
}

static bool is_failure(int32_t result)
{
	return result < 0 && result >= -ERRNO_MAX;
}

static bool check_facts(const struct socket_facts *facts)
{
	return is_flag(&facts->serves_ipv4) && is_flag(&facts->serves_ipv6) && is_flag(&facts->ipv6) &&
	       is_flag(&facts->reuseport) && (facts->ipv6 || !facts->serves_ipv6) &&
	       (facts->protocol == IPPROTO_TCP || facts->protocol == IPPROTO_UDP) &&
	       facts->address_family == (facts->serves_ipv6 ? AF_INET6 : AF_INET);
}

static bool check_sight(const struct sight *sight)
{
	if (sight->cookie_error < 0 || sight->cookie_error > ERRNO_MAX)
		return false;
	return sight->result ? sight->result == REFUSED || is_failure(sight->result)
			     : check_facts(&sight->facts);
}

static bool check_refusal(const struct refusal *refusal)
{
	size_t length = strnlen(refusal->text, sizeof(refusal->text));

	return length < sizeof(refusal->text) && text_is_clean(refusal->text, length) &&
	       refusal->error >= 0 && refusal->error <= ERRNO_MAX && !refusal->error == !length;
}

static bool check_parcel(const struct report *report)
{
	const uint32_t end = report->first + report->n;

	if (report->total > PACKET_FDS_MAX || report->first > report->total ||
		report->n > report->total - report->first || (report->total && !report->n))
		return false;
	if (report->refused != UINT32_MAX && (report->refused >= end || !report->refusal.error))
		return false;
	if (report->has_owner && !report->total)
		return false;
	for (uint32_t i = 0; i < report->n; i++)
		if (!check_sight(&report->sights[i]) ||
			(report->sights[i].result == REFUSED && report->refused > report->first + i))
			return false;
	return true;
}

bool work_report_check(const struct report *report, size_t size)
{
	if (size < offsetof(struct report, sights) || report->n > WORK_SIGHTS ||
		size != offsetof(struct report, sights) + report->n * sizeof(*report->sights) ||
		!is_flag(&report->has_pidfd) || !is_flag(&report->has_owner) ||
		!check_refusal(&report->refusal))
		return false;
	switch ((uint32_t)report->kind) {
	case REPORT_RECEIVED:
		return !report->n;
	case REPORT_PARCEL:
		return check_parcel(report) &&
		       (report->result == 0 || report->result == PACKET_AGAIN ||
			       report->result == PACKET_END || is_failure(report->result) ||
			       (report->result == REFUSED && report->refusal.error));
	case REPORT_STAGED:
		return !report->n && (report->result == 0 || is_failure(report->result));
	case REPORT_CLOSED:
	case REPORT_SKIPPED:
		return !report->n;
	}
	return false;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "rtnetlink.h"

#include <errno.h>
#include <stdbool.h>

#include "../../util/errno_name.h"
#include "netlink.h"

bool rtnetlink_has(const struct nlmsghdr *header, size_t size)
{
	if (mnl_nlmsg_get_payload_len(header) >= size)
		return true;
	errno = EBADMSG;
	return false;
}

int rtnetlink_ask(struct nlmsghdr *header, mnl_cb_t function, void (*reset)(void *userdata), void *userdata,
	const char *what, struct refusal *refusal)
{
	int r = netlink_ask(NETLINK_ROUTE, header, function, reset, userdata);

	if (r == -ENOMEM || !r)
		return r;
	return refuse(refusal, -r, "cannot read %s from rtnetlink (%s)", what, errno_name(-r));
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "diag_reply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "../util/address.h"
#include "../util/array.h"
#include "../util/error.h"

static int compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool is_queried(const struct diag_query *query, const struct inet_diag_msg *message)
{
	uint16_t port = ntohs(message->id.idiag_sport);

	if (message->idiag_family != query->family ||
		message->idiag_state != (query->protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE))
		return false;
	/* port 0: not bound; a remote port: connected */
	if (!port || message->id.idiag_dport)
		return false;
	return !query->n_ports ||
	       bsearch(&port, query->ports, query->n_ports, sizeof(*query->ports), compare_ports);
}

static bool is_mptcp(const struct nlattr *ulp)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested (attribute, ulp)
		if (mnl_attr_get_type(attribute) == INET_ULP_INFO_NAME &&
			mnl_attr_get_payload_len(attribute) == sizeof("mptcp") &&
			!memcmp(mnl_attr_get_payload(attribute), "mptcp", sizeof("mptcp")))
			return true;
	return false;
}

static void read_options(const struct nlattr *attribute, struct diag_socket *socket)
{
	struct inet_diag_sockopt options;

	if (mnl_attr_get_payload_len(attribute) < sizeof(options))
		return;
	memcpy(&options, mnl_attr_get_payload(attribute), sizeof(options));
	socket->transparent = options.transparent;
}

static void read_attribute(const struct nlattr *attribute, struct diag_socket *socket)
{
	switch (mnl_attr_get_type(attribute)) {
	case INET_DIAG_SKV6ONLY:
		if (mnl_attr_get_payload_len(attribute) >= sizeof(uint8_t))
			socket->v6only = mnl_attr_get_u8(attribute);
		break;
	case INET_DIAG_CGROUP_ID:
		if (mnl_attr_get_payload_len(attribute) >= sizeof(uint64_t))
			socket->cgroup = mnl_attr_get_u64(attribute);
		break;
	case INET_DIAG_SOCKOPT:
		read_options(attribute, socket);
		break;
	/* before Linux 6.15, only shown to processes with CAP_NET_ADMIN */
	case INET_DIAG_ULP_INFO:
		socket->mptcp = is_mptcp(attribute);
		break;
	}
}

static int append_socket(struct diag_list *list, const struct diag_socket *socket)
{
	if (ARRAY_RESERVE(list->items, list->n) < 0)
		return -ENOMEM;
	list->items[list->n++] = *socket;
	return 0;
}

static int read_socket(const struct diag_query *query, const struct nlmsghdr *header, struct diag_list *list)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	const struct nlattr *attribute;
	struct diag_socket socket;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
		return -EBADMSG;
	if (!is_queried(query, message))
		return 0;
	socket = (struct diag_socket){
		.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
		.inode = message->idiag_inode,
		.uid = message->idiag_uid,
		.protocol = query->protocol,
		.family = query->family,
		.port = ntohs(message->id.idiag_sport),
		.interface = message->id.idiag_if,
		.queue = message->idiag_rqueue,
		.queue_max = query->protocol == IPPROTO_TCP ? message->idiag_wqueue : 0,
	};
	memcpy(socket.address, message->id.idiag_src, address_size(query->family));
	mnl_attr_for_each (attribute, header, sizeof(*message))
		read_attribute(attribute, &socket);
	return append_socket(list, &socket);
}

/* The errno at the start of NLMSG_ERROR and NLMSG_DONE: 0, negative, or -EBADMSG if it is not an errno. */
static int read_error(const struct nlmsghdr *header)
{
	int error;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(error))
		return -EBADMSG;
	memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
	return error > 0 || error < -ERRNO_MAX ? -EBADMSG : error;
}

static int read_message(const struct diag_query *query, const struct nlmsghdr *header, struct diag_list *list)
{
	int r;

	if (header->nlmsg_seq != query->sequence || header->nlmsg_pid != query->portid)
		return 0;
	if (header->nlmsg_flags & NLM_F_DUMP_INTR)
		return DIAG_INTERRUPTED;
	switch (header->nlmsg_type) {
	case NLMSG_DONE:
		r = read_error(header);
		return r < 0 ? r : DIAG_END;
	case NLMSG_ERROR:
		r = read_error(header);
		return r < 0 ? r : -EBADMSG;
	case NLMSG_OVERRUN:
		return DIAG_INTERRUPTED;
	case SOCK_DIAG_BY_FAMILY:
		return read_socket(query, header, list);
	}
	return 0;
}

int diag_reply_read(const struct diag_query *query, const void *data, size_t size, struct diag_list *list)
{
	const struct nlmsghdr *header = data;
	int left = size <= INT_MAX ? (int)size : -1, r;

	/* mnl_nlmsg_ok() of libmnl 1.0.4 accepts a length above INT_MAX */
	while (mnl_nlmsg_ok(header, left) && header->nlmsg_len <= (unsigned)left) {
		r = read_message(query, header, list);
		if (r)
			return r;
		header = mnl_nlmsg_next(header, &left);
	}
	return left > 0 ? -EBADMSG : 0;
}

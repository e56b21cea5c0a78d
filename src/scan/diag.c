/* SPDX-License-Identifier: BSD-3-Clause */
#include "diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../util/transport.h"
#include "diag_reply.h"

#define RECEIVE_MAX                                                                                          \
	32768U /* the largest datagram of a dump that the kernel sends, if the reader has room for it */
#define DUMPS_MAX 8
#define FILTER_PORTS_MAX 256U /* the kernel compares ports one by one */
#define ANSWER_SECONDS 10

static const uint8_t any_v4_in_v6[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int diag_address(const struct diag_socket *socket, const uint8_t **ret)
{
	bool mapped =
		socket->family == AF_INET6 && !memcmp(socket->address, any_v4_in_v6, sizeof(any_v4_in_v6));

	*ret = mapped ? socket->address + sizeof(any_v4_in_v6) : socket->address;
	return mapped ? AF_INET : socket->family;
}

bool diag_serves(const struct diag_socket *socket, int family)
{
	const uint8_t *address;

	return diag_address(socket, &address) == family || (family == AF_INET && !socket->v6only);
}

bool diag_queue_is_full(const struct diag_socket *socket)
{
	return socket->protocol == IPPROTO_TCP && socket->queue > socket->queue_max;
}

static void socket_closep(struct mnl_socket **socket)
{
	if (*socket)
		(void)mnl_socket_close(*socket);
}

static int compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static int compare_sockets(const void *a, const void *b)
{
	const struct diag_socket *x = a, *y = b;
	int r = x->protocol - y->protocol;

	if (!r)
		r = x->family - y->family;
	if (!r)
		r = x->port - y->port;
	if (!r)
		r = memcmp(x->address, y->address, sizeof(x->address));
	if (!r)
		r = (x->cookie > y->cookie) - (x->cookie < y->cookie);
	return r;
}

/* A socket that moves while the kernel walks its table can appear twice. */
static void sort_once(struct diag_list *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), compare_sockets);
	for (size_t i = 0; i < list->n; i++)
		if (!n || compare_sockets(&list->items[n - 1], &list->items[i]))
			list->items[n++] = list->items[i];
	list->n = n;
}

/*
 * Two instructions for each port: "if it is this port go on, otherwise skip one instruction" and "jump to the end". A
 * jump to the end accepts the socket, a jump beyond the end rejects it.
 */
static void put_filter(struct nlmsghdr *header, const uint16_t *ports, size_t n)
{
	struct inet_diag_bc_op code[3 * FILTER_PORTS_MAX];
	size_t size = (3 * n - 1) * sizeof(*code);

	for (size_t i = 0; i < n; i++) {
		struct inet_diag_bc_op *op = &code[3 * i];

		op[0] = (struct inet_diag_bc_op){.code = INET_DIAG_BC_S_EQ, .yes = 8, .no = 12};
		op[1] = (struct inet_diag_bc_op){.no = ports[i]};
		if (i + 1 < n)
			op[2] = (struct inet_diag_bc_op){.code = INET_DIAG_BC_JMP,
				.yes = 4,
				.no = (unsigned short)(size - (3 * i + 2) * sizeof(*code))};
	}
	mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, size, code);
}

static int ask_kernel(const struct mnl_socket *netlink, const struct diag_query *query)
{
	_Alignas(struct nlmsghdr) char buffer[4096] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = query->sequence;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = query->family;
	request->sdiag_protocol = query->protocol;
	/* the kernel includes what it knows of MPTCP only when asked for struct tcp_info */
	if (query->protocol == IPPROTO_TCP)
		request->idiag_ext = 1U << (INET_DIAG_INFO - 1);
	request->idiag_states = 1U << (query->protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
	if (query->n_ports && query->n_ports <= FILTER_PORTS_MAX)
		put_filter(header, query->ports, query->n_ports);
	return mnl_socket_sendto(netlink, header, header->nlmsg_len) < 0 ? -errno : 0;
}

static int open_netlink(struct mnl_socket **ret)
{
	struct timeval patience = {.tv_sec = ANSWER_SECONDS};
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (!netlink)
		return -errno;
	if (mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
			0) {
		int r = -errno;

		(void)mnl_socket_close(netlink);
		return r;
	}
	*ret = netlink;
	return 0;
}

/* Return: 0, DIAG_INTERRUPTED, or a negative errno. */
static int dump_once(struct diag_query *query, struct diag_list *list)
{
	_cleanup_(socket_closep) struct mnl_socket *netlink = NULL;
	_cleanup_free_ char *buffer = malloc(RECEIVE_MAX);
	int r;

	if (!buffer)
		return -ENOMEM;
	r = open_netlink(&netlink);
	if (r < 0)
		return r;
	query->portid = mnl_socket_get_portid(netlink);
	r = ask_kernel(netlink, query);
	while (!r) {
		ssize_t size = mnl_socket_recvfrom(netlink, buffer, RECEIVE_MAX);

		if (size >= 0)
			r = diag_reply_read(query, buffer, (size_t)size, list);
		else if (errno == ENOBUFS)
			r = DIAG_INTERRUPTED;
		else if (errno != EINTR)
			r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	return r == DIAG_END ? 0 : r;
}

static int explain(const struct diag_query *query, int error, struct refusal *refusal)
{
	const char *protocol = protocol_name(query->protocol);

	if (error == ENOMEM)
		return -ENOMEM;
	if (error == EPROTONOSUPPORT || error == ENOENT)
		return refuse(refusal, EPROTONOSUPPORT,
			"this kernel does not list %s sockets: it has no sock_diag for them (%s); load the module %s_diag",
			protocol, errno_name(error), protocol_word(query->protocol));
	return refuse(refusal, error, "cannot read the list of %s sockets from sock_diag (%s)", protocol,
		errno_name(error));
}

static int dump(struct diag_query *query, struct diag_list *list, struct refusal *refusal)
{
	size_t n = list->n;
	int r = DIAG_INTERRUPTED;

	for (unsigned i = 0; i < DUMPS_MAX && r == DIAG_INTERRUPTED; i++) {
		list->n = n;
		query->sequence = i + 1;
		r = dump_once(query, list);
	}
	if (r == DIAG_INTERRUPTED)
		return refuse(refusal, EAGAIN,
			"the list of %s sockets changed each of the %d times it was read (EAGAIN); try again",
			protocol_name(query->protocol), DUMPS_MAX);
	return r < 0 ? explain(query, -r, refusal) : 0;
}

static int sorted_ports(const uint16_t *ports, size_t n, uint16_t **ret)
{
	uint16_t *sorted = malloc((n + 1) * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (n) {
		memcpy(sorted, ports, n * sizeof(*sorted));
		qsort(sorted, n, sizeof(*sorted), compare_ports);
	}
	*ret = sorted;
	return 0;
}

int diag_dump(uint8_t protocol, const uint16_t *ports, size_t n_ports, struct diag_socket **ret,
	size_t *ret_n, struct refusal *refusal)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP}, families[] = {AF_INET, AF_INET6};
	_cleanup_free_ uint16_t *sorted = NULL;
	struct diag_list list = {.n = 0};
	int r = sorted_ports(ports, n_ports, &sorted);

	for (size_t i = 0; !r && i < 2 * ARRAY_SIZE(families); i++) {
		struct diag_query query = {.protocol = protocols[i / 2],
			.family = families[i % 2],
			.ports = sorted,
			.n_ports = n_ports};

		if (!protocol || protocol == query.protocol)
			r = dump(&query, &list, refusal);
	}
	if (r) {
		free(list.items);
		return r;
	}
	sort_once(&list);
	*ret = list.items;
	*ret_n = list.n;
	return 0;
}

bool diag_is_group(const struct diag_socket *a, const struct diag_socket *b)
{
	return a->protocol == b->protocol && a->family == b->family && a->port == b->port &&
	       a->uid == b->uid && a->interface == b->interface &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

size_t diag_count_group(const struct diag_socket *sockets, size_t n, const struct diag_socket *socket)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += diag_is_group(&sockets[i], socket);
	return count;
}

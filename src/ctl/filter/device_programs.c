/* SPDX-License-Identifier: BSD-3-Clause */
#include "device_programs.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../util/array.h"
#include "../host/rtnetlink.h"

/* Linux 6.6; the headers of older ones lack it */
#define ATTACHED_TCX_INGRESS 46

void device_programs_deinit(struct devices_seen *devices)
{
	free(devices->items);
	*devices = DEVICES_SEEN_NULL;
}

static int read_xdp(const struct nlattr *attribute, void *userdata)
{
	struct device_seen *device = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_XDP_ATTACHED && mnl_attr_get_payload_len(attribute))
		device->xdp = mnl_attr_get_u8(attribute) != XDP_ATTACHED_NONE;
	return MNL_CB_OK;
}

static int read_kind(const struct nlattr *attribute, void *userdata)
{
	struct device_seen *device = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
		device->bridge = strncmp(mnl_attr_get_payload(attribute), "bridge",
					 mnl_attr_get_payload_len(attribute)) == 0;
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *attribute, void *userdata)
{
	struct device_seen *device = userdata;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_IFNAME:
		(void)snprintf(device->name, sizeof(device->name), "%.*s",
			(int)mnl_attr_get_payload_len(attribute),
			(const char *)mnl_attr_get_payload(attribute));
		break;
	case IFLA_XDP:
		return mnl_attr_parse_nested(attribute, read_xdp, device);
	case IFLA_LINKINFO:
		return mnl_attr_parse_nested(attribute, read_kind, device);
	}
	return MNL_CB_OK;
}

static int add_device(const struct nlmsghdr *header, void *userdata)
{
	const struct ifinfomsg *message = mnl_nlmsg_get_payload(header);
	struct devices_seen *devices = userdata;
	struct device_seen device = {};

	if (!rtnetlink_has(header, sizeof(*message)))
		return MNL_CB_ERROR;
	device.device = (uint32_t)message->ifi_index;
	if (mnl_attr_parse(header, sizeof(*message), read_attribute, &device) < 0)
		return MNL_CB_ERROR;
	if (ARRAY_RESERVE(devices->items, devices->n) < 0) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	devices->items[devices->n++] = device;
	return MNL_CB_OK;
}

static void forget(void *userdata)
{
	((struct devices_seen *)userdata)->n = 0;
}

static int note_filter(const struct nlmsghdr *header, void *userdata)
{
	(void)header;
	((struct device_seen *)userdata)->tc = true;
	return MNL_CB_OK;
}

/* Filters of a qdisc: rtnetlink lists them. */
static int look_at_qdisc(struct device_seen *device, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct tcmsg *message;

	header->nlmsg_type = RTM_GETTFILTER;
	header->nlmsg_flags = NLM_F_DUMP;
	message = mnl_nlmsg_put_extra_header(header, sizeof(*message));
	message->tcm_ifindex = (int)device->device;
	message->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	return rtnetlink_ask(header, note_filter, NULL, device, "the filters of tc", refusal);
}

/* Programs without a qdisc, which only bpf(2) lists. A kernel that knows none, or a user who may not ask, sees none. */
static void look_at_tcx(struct device_seen *device)
{
	union bpf_attr attr = {
		.query = {.target_fd = device->device, .attach_type = ATTACHED_TCX_INGRESS},
	};

	if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) == 0 && attr.query.prog_cnt)
		device->tc = true;
}

int device_programs_read(struct devices_seen *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	int r;

	*ret = DEVICES_SEEN_NULL;
	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_DUMP;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	r = rtnetlink_ask(header, add_device, forget, ret, "the devices", refusal);
	for (size_t i = 0; i < ret->n && !r; i++) {
		r = look_at_qdisc(&ret->items[i], refusal);
		/* a kernel without tc */
		if (r == REFUSED && refusal->error == EOPNOTSUPP)
			r = 0;
		look_at_tcx(&ret->items[i]);
	}
	return r;
}

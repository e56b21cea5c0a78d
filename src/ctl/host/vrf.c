/* SPDX-License-Identifier: BSD-3-Clause */
#include "vrf.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../util/array.h"
#include "../../util/transport.h"
#include "rtnetlink.h"

/* How many masters a device may have above it */
#define DEPTH_MAX 8

void vrf_deinit(struct vrf_links *links)
{
	free(links->items);
	*links = VRF_LINKS_NULL;
}

static int read_data(const struct nlattr *attribute, void *userdata)
{
	struct vrf_link *link = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_VRF_TABLE)
		link->table = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

struct info {
	const struct nlattr *data;
	bool vrf;
};

static int read_info(const struct nlattr *attribute, void *userdata)
{
	struct info *info = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
		info->vrf = strcmp(mnl_attr_get_str(attribute), "vrf") == 0;
	else if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA)
		info->data = attribute;
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *attribute, void *userdata)
{
	struct vrf_link *link = userdata;
	struct info info = {};

	if (mnl_attr_get_type(attribute) == IFLA_MASTER)
		link->master = mnl_attr_get_u32(attribute);
	if (mnl_attr_get_type(attribute) != IFLA_LINKINFO)
		return MNL_CB_OK;
	if (mnl_attr_parse_nested(attribute, read_info, &info) < 0)
		return MNL_CB_ERROR;
	return info.vrf && info.data ? mnl_attr_parse_nested(info.data, read_data, link) : MNL_CB_OK;
}

static int add_link(const struct nlmsghdr *header, void *userdata)
{
	const struct ifinfomsg *message = mnl_nlmsg_get_payload(header);
	struct vrf_link link = {.device = (uint32_t)message->ifi_index};
	struct vrf_links *links = userdata;

	if (mnl_attr_parse(header, sizeof(*message), read_attribute, &link) < 0)
		return MNL_CB_ERROR;
	if (ARRAY_RESERVE(links->items, links->n) < 0) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	links->items[links->n++] = link;
	return MNL_CB_OK;
}

static void forget(void *userdata)
{
	((struct vrf_links *)userdata)->n = 0;
}

int vrf_read(struct vrf_links *ret, struct refusal *refusal)
{
	_Alignas(struct nlmsghdr) char buffer[256] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);

	*ret = VRF_LINKS_NULL;
	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_DUMP;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	return rtnetlink_ask(header, add_link, forget, ret, "the devices", refusal);
}

bool vrf_is_open(uint8_t protocol)
{
	char path[64], text[16] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s_l3mdev_accept", protocol_word(protocol));
	file = fopen(path, "re");
	if (!file)
		return true;
	(void)!fgets(text, sizeof(text), file);
	(void)fclose(file);
	return *text != '0';
}

static const struct vrf_link *find(const struct vrf_links *links, uint32_t device)
{
	for (size_t i = 0; i < links->n; i++)
		if (links->items[i].device == device)
			return &links->items[i];
	return NULL;
}

const struct vrf_link *vrf_of(const struct vrf_links *links, uint32_t device)
{
	const struct vrf_link *link = find(links, device);

	for (unsigned depth = 0; link && depth < DEPTH_MAX; depth++) {
		if (link->table)
			return link;
		link = link->master ? find(links, link->master) : NULL;
	}
	return NULL;
}

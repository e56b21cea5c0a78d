/* SPDX-License-Identifier: BSD-3-Clause */
#include "delivery.h"

#include <stdlib.h>

struct delivery *delivery_add(struct delivery **list, struct packet *packet,
	const struct intake_request *request, const struct notify *notify)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery)), **at = list;

	if (!delivery)
		return NULL;
	*delivery =
		(struct delivery){.request = *request, .list = list, .packet = *packet, .notify = *notify};
	*packet = PACKET_NULL;
	while (*at)
		at = &(*at)->next;
	*at = delivery;
	return delivery;
}

struct delivery *delivery_find_first(struct delivery *list, uid_t uid)
{
	while (list && delivery_uid(list) != uid)
		list = list->next;
	return list;
}

size_t delivery_count(const struct delivery *list, uid_t uid)
{
	size_t n = 0;

	for (; list; list = list->next)
		n += delivery_uid(list) == uid;
	return n;
}

static void leave(struct delivery *delivery)
{
	struct delivery **at = delivery->list;

	while (*at != delivery)
		at = &(*at)->next;
	*at = delivery->next;
}

void delivery_give_back(struct delivery *delivery, struct packet *ret_packet)
{
	leave(delivery);
	*ret_packet = delivery->packet;
	free(delivery);
}

struct delivery *delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return NULL;
	leave(delivery);
	intake_request_deinit(&delivery->request);
	packet_deinit(&delivery->packet);
	free(delivery);
	return NULL;
}

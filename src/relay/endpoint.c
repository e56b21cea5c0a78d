/* SPDX-License-Identifier: BSD-3-Clause */
#include "endpoint.h"

#include <string.h>

bool endpoint_get(const struct sockaddr_storage *address, struct endpoint *ret)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	*ret = (struct endpoint){.family = address->ss_family};
	if (address->ss_family == AF_INET) {
		memcpy(ret->address, &v4->sin_addr, 4);
		ret->port = ntohs(v4->sin_port);
		return true;
	}
	if (address->ss_family != AF_INET6)
		return false;
	ret->port = ntohs(v6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		ret->family = AF_INET;
		memcpy(ret->address, &v6->sin6_addr.s6_addr[12], 4);
	} else {
		memcpy(ret->address, &v6->sin6_addr, 16);
	}
	return true;
}

socklen_t endpoint_set(struct sockaddr_storage *ret, int family, const uint8_t *address, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&v4->sin_addr, address, 4);
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	memcpy(&v6->sin6_addr, address, 16);
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "destination.h"

#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "macro.h"

#define NONE "none"

#ifndef IP_RECVORIGDSTADDR
#define IP_RECVORIGDSTADDR 20
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif

/* An IPv6 socket that serves IPv4 too has the options of both; only IPV6_RECVPKTINFO covers both. */
static const struct {
	unsigned bit;
	int level, option;
	bool ipv4, ipv6;
	const char *word;
} options[] = {
	{DESTINATION_IP_PKTINFO, IPPROTO_IP, IP_PKTINFO, true, false, "IP_PKTINFO"},
	{DESTINATION_IP_RECVORIGDSTADDR, IPPROTO_IP, IP_RECVORIGDSTADDR, true, false, "IP_RECVORIGDSTADDR"},
	{DESTINATION_IPV6_RECVPKTINFO, IPPROTO_IPV6, IPV6_RECVPKTINFO, true, true, "IPV6_RECVPKTINFO"},
	{DESTINATION_IPV6_RECVORIGDSTADDR, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, false, true,
		"IPV6_RECVORIGDSTADDR"},
	{DESTINATION_IPV6_2292PKTINFO, IPPROTO_IPV6, IPV6_2292PKTINFO, false, true, "IPV6_2292PKTINFO"},
	{DESTINATION_DROPS, 0, 0, false, false, "stand-in"},
};

/* Is the filter of the socket "return 0"? A socket without a filter has one of 0 instructions. */
static bool drops(int fd)
{
	struct sock_filter code = {};
	socklen_t n = 1;

	return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, &code, &n) == 0 && n == 1 &&
	       code.code == (BPF_RET | BPF_K) && code.k == 0;
}

unsigned destination_read(int fd)
{
	unsigned set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int value = 0;
		socklen_t size = sizeof(value);

		/* an IPv4 socket has no options of IPv6 */
		if (!options[i].option ||
			getsockopt(fd, options[i].level, options[i].option, &value, &size) < 0)
			continue;
		set |= DESTINATION_LOOKED;
		if (value)
			set |= options[i].bit;
	}
	return drops(fd) ? set | DESTINATION_DROPS : set;
}

const char *destination_format(unsigned set, char text[static DESTINATION_TEXT_MAX])
{
	size_t n = 0;

	(void)snprintf(text, DESTINATION_TEXT_MAX, "%s", set & DESTINATION_LOOKED ? NONE : "");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (set & options[i].bit)
			n += (size_t)snprintf(
				text + n, DESTINATION_TEXT_MAX - n, "%s%s", n ? " " : "", options[i].word);
	return text;
}

unsigned destination_parse(const char *text)
{
	unsigned set = text && *text ? DESTINATION_LOOKED : 0;

	while (text && *text) {
		size_t length = strcspn(text, " ");

		for (size_t i = 0; i < ARRAY_SIZE(options); i++)
			if (strlen(options[i].word) == length && !memcmp(text, options[i].word, length))
				set |= options[i].bit;
		text += length;
		text += strspn(text, " ");
	}
	return set;
}

bool destination_is_asked(unsigned set, int family)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (set & options[i].bit && (family == AF_INET ? options[i].ipv4 : options[i].ipv6))
			return true;
	return false;
}

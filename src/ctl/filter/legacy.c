/* SPDX-License-Identifier: BSD-3-Clause */
#include "legacy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../util/cleanup.h"
#include "../../util/errno_name.h"

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		       sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries) &&
		       IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES,
	"both families are asked alike");

/* The policy of a chain is its last entry, which accepts or drops. */
static bool drops_at(const struct ipt_get_entries *entries, size_t at, int family)
{
	size_t member = family == AF_INET ? offsetof(struct ipt_entry, target_offset)
					  : offsetof(struct ip6t_entry, target_offset);
	const char *table = (const char *)entries->entrytable;
	struct xt_standard_target target;
	uint16_t offset;

	if (at + member + sizeof(offset) > entries->size)
		return false;
	memcpy(&offset, table + at + member, sizeof(offset));
	if (at + offset + sizeof(target) > entries->size)
		return false;
	memcpy(&target, table + at + offset, sizeof(target));
	return target.verdict == -NF_DROP - 1;
}

/* Return: positive when the table does something, 0, or a negative errno */
static int look_at_entries(int fd, int family, const struct ipt_getinfo *info)
{
	socklen_t size = (socklen_t)(sizeof(struct ipt_get_entries) + info->size);
	_cleanup_free_ struct ipt_get_entries *entries = calloc(1, size);
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	if (!entries)
		return -ENOMEM;
	memcpy(entries->name, info->name, sizeof(entries->name));
	entries->size = info->size;
	/* EAGAIN: it has changed, so somebody is using it */
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, entries, &size) < 0)
		return errno == EAGAIN ? 1 : -errno;
	for (unsigned hook = 0; hook < NF_INET_NUMHOOKS; hook++)
		if (info->valid_hooks & (1U << hook) && drops_at(entries, info->underflow[hook], family))
			return 1;
	return 0;
}

/* Return: as of look_at_entries() */
static int look_at_table(int fd, int family, const char *name)
{
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	struct ipt_getinfo info = {};
	socklen_t size = sizeof(info);

	(void)snprintf(info.name, sizeof(info.name), "%.31s", name);
	if (getsockopt(fd, level, IPT_SO_GET_INFO, &info, &size) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* a policy for each hook, and the entry that ends the table */
	if (info.num_entries > (unsigned)__builtin_popcount(info.valid_hooks) + 1)
		return 1;
	return look_at_entries(fd, family, &info);
}

int legacy_find(int family, char *tables, size_t size, struct refusal *refusal)
{
	_cleanup_(fclosep) FILE *names =
		fopen(family == AF_INET ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", "re");
	_cleanup_close_ int fd = -1;
	char name[64];

	*tables = '\0';
	if (!names && errno == ENOENT)
		return 0;
	if (names)
		fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (!names || fd < 0)
		return refuse(refusal, errno,
			"only root may see whether the tables of iptables-legacy are in use (%s)",
			errno_name(errno));
	while (fgets(name, sizeof(name), names)) {
		size_t length = strlen(tables);
		int r;

		name[strcspn(name, "\n")] = '\0';
		r = look_at_table(fd, family, name);
		if (r < 0)
			return refuse(refusal, -r, "the table %s of iptables-legacy cannot be read (%s)",
				name, errno_name(-r));
		if (r)
			(void)snprintf(tables + length, size - length, "%s%s", length ? " " : "", name);
	}
	return 0;
}

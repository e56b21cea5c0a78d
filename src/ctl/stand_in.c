/* SPDX-License-Identifier: BSD-3-Clause */
#include "stand_in.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../rule/match.h"
#include "../rule/rule.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "complain.h"

#define FIRST_FREE 3 /* after standard input, output and error */

static int set_option(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int attach(int fd, int option, struct sock_filter *code, size_t n)
{
	const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};

	return setsockopt(fd, SOL_SOCKET, option, &program, sizeof(program)) < 0 ? -errno : 0;
}

/*
 * The program of the group: 1 + a hash of the sender's address and port, so that a flow stays with one member. The hash of
 * the packet itself is 0 on many devices.
 */
static int attach_choice(int fd, unsigned long members)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)SKF_NET_OFF),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_NET_OFF + 12)), /* IPv4: source */
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_NET_OFF + 20)), /* port */
		BPF_STMT(BPF_JMP | BPF_JA, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_NET_OFF + 20)), /* IPv6: end of source */
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_NET_OFF + 40)), /* port */
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 0x9e3779b1),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)members),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_filter first = BPF_STMT(BPF_RET | BPF_K, 1);

	if (members <= 1)
		return attach(fd, SO_ATTACH_REUSEPORT_CBPF, &first, 1);
	return attach(fd, SO_ATTACH_REUSEPORT_CBPF, code, ARRAY_SIZE(code));
}

static int attach_drop(int fd)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);

	return attach(fd, SO_ATTACH_FILTER, &code, 1);
}

static int bind_to(int fd, const struct prefix *prefix, uint16_t port)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int r;

	if (prefix->family == AF_INET) {
		memcpy(&ipv4.sin_addr, prefix->address, sizeof(ipv4.sin_addr));
		r = bind(fd, (const struct sockaddr *)&ipv4, sizeof(ipv4));
	} else {
		memcpy(&ipv6.sin6_addr, prefix->address, sizeof(ipv6.sin6_addr));
		r = bind(fd, (const struct sockaddr *)&ipv6, sizeof(ipv6));
	}
	return r < 0 ? -errno : 0;
}

/*
 * Position 0 of the group is the stand-in, which drops what reaches it while it is alone; those of COMMAND are from 1 on.
 * The group is made before the bind, and the bind is without SO_REUSEPORT, so that it fails if the address is in use.
 */
static int open_socket(const struct prefix *prefix, uint16_t port, unsigned long members)
{
	_cleanup_close_ int fd = socket(prefix->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : set_option(fd, SO_REUSEPORT, 1), inherited;

	if (!r)
		r = attach_choice(fd, members);
	if (!r)
		r = attach_drop(fd);
	if (!r)
		r = set_option(fd, SO_REUSEPORT, 0);
	if (!r)
		r = bind_to(fd, prefix, port);
	if (!r)
		r = set_option(fd, SO_REUSEPORT, 1);
	if (r)
		return r;
	inherited = fcntl(fd, F_DUPFD, FIRST_FREE);
	return inherited < 0 ? -errno : inherited;
}

int stand_in_open(const struct ctl *ctl, int *ret)
{
	const char *endpoint = ctl->stand_in;
	struct refusal refusal = {};
	struct rule_match match;
	int fd;

	if (rule_match_parse(endpoint, &match, &refusal) || !rule_match_is_endpoint(&match)) {
		complain(
			"bad option --stand-in '%s': %s (EINVAL); write 127.0.0.2:53 or [fd00::2]:53, as COMMAND binds its socket",
			endpoint, refusal.error ? refusal.text : "it must be one address and one port");
		return EXIT_USAGE;
	}
	fd = open_socket(&match.prefix, match.first, ctl->members);
	if (fd == -EADDRINUSE) {
		complain(
			"cannot open a stand-in at '%s': another socket is bound there (EADDRINUSE), and the stand-in must be the first of its group; end the process of that socket, see 'ss -lunp'",
			endpoint);
		return EXIT_FAILURE;
	}
	if (fd < 0) {
		complain(
			"cannot open a stand-in at '%s': %s (%s); give the address and port that COMMAND binds",
			endpoint, errno_text(-fd), errno_name(-fd));
		return EXIT_FAILURE;
	}
	*ret = fd;
	return EXIT_SUCCESS;
}

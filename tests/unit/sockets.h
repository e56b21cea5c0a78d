/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sockets for tests, in a network namespace of their own. An error fails the test. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* enter_netns() - enter a new network namespace with loopback up; as nobody, with a new user namespace */
void enter_netns(void);

/* netns_of() - SO_NETNS_COOKIE of a socket */
uint64_t netns_of(int fd);

int new_socket(int family, int type, int protocol);

/* bind_to() - bind to a port that the kernel chooses; Return: the port. bind_to_port() - bind to this port */
uint16_t bind_to(int fd, const char *address);
uint16_t bind_to_port(int fd, const char *address, uint16_t port);

/* family_of() - of an address as text */
int family_of(const char *address);

int make_udp(const char *address);

/* make_listener() - @protocol: 0 for TCP */
int make_listener(const char *address, int protocol);

/* connect_to_socket() - connect to the address of another socket */
void connect_to_socket(int fd, int other);

/* What can be seen of a descriptor without changing it; to be compared with memcmp(3) */
struct look {
	int status_flags, descriptor_flags;
	off_t offset;
	short events;
	struct {
		int result;
		socklen_t size;
		unsigned char value[16];
	} options[40];
	struct sockaddr_storage local, peer;
};

void take_look(int fd, struct look *ret);

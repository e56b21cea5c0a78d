/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A broker in a thread that follows a script, for what the real one does not do on demand
 *
 * It listens on fake_broker_address(), in a folder of its own. $USHER_SOCKET points there.
 */

#include <pthread.h>
#include <stddef.h>
#include <sys/un.h>

#include "wire/packet.h"

struct answer {
	const char *text; /* NULL ends the list */
	int fds[4];
	size_t n_fds;
};

enum ending {
	STAY,	 /* until the client hangs up */
	CLOSE,	 /* after the answers */
	DEAF,	 /* accept nothing */
	ENDLESS, /* repeat the last answer until the client hangs up */
	ECHO,	 /* refuse with the name as the reason */
};

struct fake_broker {
	const struct answer *answers;
	enum ending ending;
	size_t n_connections; /* connections to serve before the thread ends; 0 means 1 */

	int listener;
	pthread_t thread;
	size_t n_open;
	char request[PACKET_TEXT_MAX + 1]; /* the last one */
	size_t n_fds;			   /* that came with it */
};

/* Group set-up and tear-down of cmocka */
int fake_broker_set_up(void **state);
int fake_broker_tear_down(void **state);

const struct sockaddr_un *fake_broker_address(void);

/* fake_broker_run() - serve n_connections in the calling thread; @userdata is the broker */
void *fake_broker_run(void *userdata);

/* fake_broker_start(), fake_broker_stop() - the latter asserts that no descriptor was left open in between */
void fake_broker_start(struct fake_broker *broker);
void fake_broker_stop(struct fake_broker *broker);

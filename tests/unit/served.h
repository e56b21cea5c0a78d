/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A door in the process of the test: its event loop, a handler that obeys requests, and clients
 *
 * The loop only runs inside the functions here, so a test decides what comes first. The handler knows these requests:
 *
 *   echo    TEXT=...          answered with it
 *   refuse  TEXT=...          refused with EACCES and this reason
 *   rows    N=... FD=1        answered with N rows, NUMBER= from 0; with FD=, each carries a descriptor
 *   tail                      answered without end, with `n_ready` rows so far; call session_wake() when it grows
 *   keep                      takes the descriptors of the packet into `kept`
 *   unseen                    has descriptors thrown away that come with it
 *   who                       answered with what session_identify() knows about the sender
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "intake/door.h"
#include "wire/packet.h"

struct served {
	sd_event *event;
	struct staff staff;
	pid_t nursery;
	struct door *door;
	char folder[64], path[96];
	size_t n_before; /* descriptors before any of this existed */
	size_t n_idle;	 /* descriptors with the door and no client */

	/* what the handler saw and did */
	struct session *session; /* of the last request; may have ended */
	unsigned n_requests, n_rows, n_released;
	unsigned n_ready; /* number of rows so far, for `tail` */
	size_t n_fds;	  /* of the last request */
	struct parcel *kept;

	/* the replacement for SESSION_IDLE_SECONDS, unless 0; and how often it was used */
	uint64_t idle_usec;
	unsigned n_idle_set;
};

/* The one that is set up; there is only one at a time. */
extern struct served served;

/* Set-up and tear-down of a cmocka test; the latter asserts that no descriptor is left. */
int served_set_up(void **state);
int served_tear_down(void **state);

/* served_open_door() - open the door again, after door_free() */
void served_open_door(void);

/* served_warm_up() - have a worker for this uid, and count the descriptors */
void served_warm_up(void);

/* served_run() - run the loop until it has nothing more to do at once; Return: the number of events */
unsigned served_run(void);

/* served_wait() - run the loop, for as long as it takes, until this many descriptors are open */
void served_wait_descriptors(size_t n);

/* client_open() - connect; non-blocking */
int client_open(void);

void client_send(int client, const char *text);
void client_send_fds(int client, const char *text, const int *fds, size_t n_fds);

/* client_receive() - run the loop until a packet comes; Return: as packet_receive(). A refused packet fails the test. */
int client_receive(int client, struct packet *packet);

/* client_expect() - receive a packet with this text and no descriptors; client_expect_end() - receive the end */
void client_expect(int client, const char *text);
void client_expect_end(int client);

/* client_expect_refusal() - receive a packet with this errno and a reason that contains a text */
void client_expect_refusal(int client, int error, const char *reason);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a relay has counted, in a file that anybody may read
 *
 * The relay maps the file and counts in it. A reader copies it, which asks the relay nothing and cannot make it wait.
 * Its numbers are what the relay says: a reader believes none of them beyond showing it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TALLY_FOLDER "/run/usher-relay" /* with a folder for each name */
#define TALLY_FILE "tally"
#define TALLY_BACKENDS_MAX 16U
#define TALLY_TEXT_MAX 112 /* "/…" of sun_path (108) */

struct tally_backend {
	char text[TALLY_TEXT_MAX]; /* as in Connect= */
	uint64_t connected, failed;
	uint64_t last_usec;  /* when it was last tried, of the clock of the day; 0: never */
	uint32_t last_error; /* and the errno of that; 0: it worked */
	uint32_t reserved;
};

struct tally {
	uint32_t magic, size; /* of struct tally: another version of usher has another */
	int64_t pid;
	uint64_t started_usec, loaded_usec; /* of the clock of the day; loaded: the settings */
	uint32_t n_backends;
	uint32_t limit; /* MaxConnections= */
	uint64_t open;	/* connections now */
	uint64_t accepted;
	uint64_t sent, received; /* bytes to the backends, and from them */
	uint64_t unreachable;	 /* connections that no backend took */
	uint64_t reset_by_client, reset_by_backend;
	uint64_t idle, half_closed; /* ended by a timeout */
	uint64_t bad_header;	    /* no PROXY header, or a wrong one, where AcceptProxy= expects it */
	uint64_t full;		    /* how often the limit was reached */
	uint64_t no_descriptors;    /* how often there was none, so that accepting paused */
	uint64_t out_of_memory;
	uint64_t sessions, sessions_begun; /* of UDP: now, and so far */
	uint64_t datagrams_sent, datagrams_received, datagrams_dropped;
	struct tally_backend backends[TALLY_BACKENDS_MAX];
};

#define TALLY_MAGIC 0x75737254U

/*
 * tally_open() - make the file of a relay and map it
 * @folder: of this name, which exists; NULL: count where nobody sees it
 *
 * Return: 0 or a negative errno.
 */
int tally_open(const char *folder, struct tally **ret);

/*
 * tally_read() - what the relay of a name has counted so far
 *
 * Return: whether there is such a file, and the process that writes it lives.
 */
bool tally_read(const char *name, struct tally *ret);

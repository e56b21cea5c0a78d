/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Whose turn it is: clients that want something are served one after the other, by uid
 *
 * A uid with hundreds of connections gets one turn where a uid with one connection gets one too. Answers that are long
 * wait for all others, but for one turn in TURNS_SHARE.
 */

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define TURNS_SHARE 8U

struct turns;
struct tenant;

/* What one client waits for. Zero to begin with; it belongs to the client, and stays where it is. */
struct turn {
	void (*serve)(void *userdata);
	void *userdata;
	struct tenant *tenant; /* NULL: it waits for nothing */
	TAILQ_ENTRY(turn) entry;
};

/* turns_new() - Return: 0 or a negative errno */
int turns_new(sd_event *event, struct turns **ret);

/* turns_free() - no client may wait any more; accepts NULL, returns NULL */
struct turns *turns_free(struct turns *turns);

/* turns_are_free() - whether a client that came now would be the first */
bool turns_are_free(const struct turns *turns);

/*
 * turns_take() - have a function called when it is the client's turn, once
 * @is_long: as long answers are
 *
 * A client that waits already goes on waiting. Without memory the function is called at once.
 */
void turns_take(struct turns *turns, struct turn *turn, uid_t uid, bool is_long);

/* turns_give_up() - a client waits no longer */
void turns_give_up(struct turn *turn);

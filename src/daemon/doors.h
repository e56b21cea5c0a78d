/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets that clients connect or send to: /run/usher/usher.sock and /run/usher/notify */

#include "../intake/passed.h"
#include "usherd.h"

/*
 * doors_open() - listen; requests are handled when the event loop runs
 * @passed: the sockets that the service manager opened for this are taken out of it
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int doors_open(struct usherd *usherd, struct passed *passed, struct refusal *refusal);

/* doors_close() - close the sockets and all connections */
void doors_close(struct usherd *usherd);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sockets on which clients come: /run/usher/usher.sock and /run/usher/notify */

#include "../intake/passed.h"
#include "usherd.h"

/*
 * doors_open() - listen; requests are handled when the event loop comes round
 * @passed: those that the service manager opened are taken from it
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int doors_open(struct usherd *usherd, struct passed *passed, struct refusal *refusal);

/* doors_close() - hang up on everybody */
void doors_close(struct usherd *usherd);

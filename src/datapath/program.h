/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A generation's program: the dispatcher, loaded on the registry's maps and on tables of its own. */

#include <stdint.h>

#include "../image/image.h"
#include "question.h"
#include "registry.h"

struct obstacles;

/*
 * program_load() - load the dispatcher and fill its tables
 * @obstacles: NULL if no rule has a later order
 * @image:    the content of the tables
 * @numbers:  the lasting seat number for each local one of the image
 * @ret:      descriptor of the program; the tables live as long as it does
 * @question: what question_ask() needs to ask about the program
 *
 * Nothing is attached. Refused: the kernel lacks a feature (ENOSYS, see probe.h) or does not permit this (EPERM).
 *
 * Return: 0, REFUSED, or a negative errno.
 */
int program_load(const struct registry *registry, const struct obstacles *obstacles,
	const struct image *image, const uint32_t *numbers, int *ret, struct question *question,
	struct refusal *refusal);

/* program_read_id() - the kernel's identifier; Return: 0 or a negative errno */
int program_read_id(int program, uint32_t *ret);

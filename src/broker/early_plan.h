/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The rules with Listen=kernel, as the kernel gets them; made before a generation is current, because that can fail */

#include "generation.h"

/* A seat that listeners may be let into, and the listener that was there at the last look (early.h) */
struct early_seat {
	uint32_t number;
	uint64_t cookie;   /* 0: none */
	uint64_t deadline; /* CLOCK_MONOTONIC, microseconds */
	uint8_t address[16];
	uint16_t port;
	uint8_t family; /* of the address; 0: not known */
};

struct early_plan {
	struct registry_early_rule *rules; /* as registry_write_early_rules() requires */
	size_t n_rules;
	struct early_seat *seats; /* where they lead, by number */
	size_t n_seats;
};

/*
 * early_plan_new() - from a generation that is loaded, so that its seats have numbers
 *
 * When two rules name the same socket, the first by name gets it.
 *
 * Return: 0, REFUSED (more than USHER_EARLY_MAX), or -ENOMEM.
 */
int early_plan_new(const struct generation *generation, struct early_plan **ret, struct refusal *refusal);
struct early_plan *early_plan_free(struct early_plan *plan);
DEFINE_CLEANUP(struct early_plan, early_plan_free);

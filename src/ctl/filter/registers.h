/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The registers of nf_tables while a rule is evaluated: 64 bytes, of which some bits are not known */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTERS_SIZE 64

struct registers {
	uint8_t value[REGISTERS_SIZE], known[REGISTERS_SIZE];
	unsigned causes[REGISTERS_SIZE / 4]; /* CAUSE_*, of each four bytes */
	char what[64];			     /* for CAUSE_OTHER; "": none */
};

/* registers_at() - where a register begins; Return: whether it and @size bytes from there are in bounds */
bool registers_at(uint32_t number, size_t size, size_t *ret);

/* registers_store() - a value; @known: NULL when all of it is known. The rest of its last four bytes becomes 0. */
void registers_store(struct registers *registers, uint32_t number, const void *value, const uint8_t *known,
	size_t size, unsigned causes);

/* registers_forget() - nothing of a register is known any more */
void registers_forget(
	struct registers *registers, uint32_t number, size_t size, unsigned causes, const char *what);

/* registers_causes() - of @size bytes at @at; 0: all of them are known */
unsigned registers_causes(const struct registers *registers, size_t at, size_t size);

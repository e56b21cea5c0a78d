/* SPDX-License-Identifier: BSD-3-Clause */
#include "registers.h"

#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

bool registers_at(uint32_t number, size_t size, size_t *ret)
{
	if (number >= NFT_REG_1 && number <= NFT_REG_4)
		*ret = (number - NFT_REG_1) * NFT_REG_SIZE;
	else if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
		*ret = (number - NFT_REG32_00) * NFT_REG32_SIZE;
	else
		return false;
	return size <= REGISTERS_SIZE - *ret;
}

void registers_store(struct registers *registers, uint32_t number, const void *value, const uint8_t *known,
	size_t size, unsigned causes)
{
	size_t at, padded = (size + 3) & ~(size_t)3;

	if (!registers_at(number, padded, &at))
		return;
	memset(registers->value + at, 0, padded);
	memset(registers->known + at, 0xff, padded);
	memcpy(registers->value + at, value, size);
	if (known)
		memcpy(registers->known + at, known, size);
	for (size_t i = at / 4; i < (at + padded) / 4; i++)
		registers->causes[i] = causes;
}

void registers_forget(
	struct registers *registers, uint32_t number, size_t size, unsigned causes, const char *what)
{
	static const uint8_t nothing[REGISTERS_SIZE];

	if (size > sizeof(nothing))
		return;
	registers_store(registers, number, nothing, nothing, size, causes);
	if (what)
		(void)snprintf(registers->what, sizeof(registers->what), "%s", what);
}

unsigned registers_causes(const struct registers *registers, size_t at, size_t size)
{
	unsigned causes = 0;

	for (size_t i = at; i < at + size; i++)
		if (registers->known[i] != 0xff)
			causes |= registers->causes[i / 4];
	return causes;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Ways to write a match that other programs know and rules do not: what to write instead */

#include "../util/error.h"

/*
 * foreign_form_refuse() - recognize a scope id, a range of addresses, several ports, the name of a host or interface
 *
 * Return: REFUSED, or 0 for anything else, valid or not.
 */
int foreign_form_refuse(const char *word, struct refusal *refusal);

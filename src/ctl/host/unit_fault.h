/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The three texts of a fault of a unit: what is wrong, what to do, and a command. Any struct with arrays of these names */

#include <stddef.h>

void unit_fault_put(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define FAULT(fault, ...) unit_fault_put((fault)->text, sizeof((fault)->text), __VA_ARGS__)
#define REMEDY(fault, ...) unit_fault_put((fault)->remedy, sizeof((fault)->remedy), __VA_ARGS__)
#define COMMAND(fault, ...) unit_fault_put((fault)->command, sizeof((fault)->command), __VA_ARGS__)

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * OpenMetrics text on a stream
 *
 * All samples of a family follow its openmetrics_family(). Every type is also known to the older text format of
 * Prometheus, so its readers can read this too, except for the type of counters. Nothing here depends on the locale. The
 * stream keeps write errors; the caller sees them when it flushes.
 */

#include <stdint.h>
#include <stdio.h>

struct openmetrics {
	FILE *out;
	const char *broker; /* value of the label `broker` of every sample; "" for none */
	const char *family; /* the current one */
	const char *suffix; /* of its samples */
};

/* openmetrics_family() - @type: "counter", "gauge" or "histogram"; @unit: "seconds", "bytes" or NULL */
void openmetrics_family(
	struct openmetrics *metrics, const char *name, const char *type, const char *unit, const char *help);

/*
 * openmetrics_sample() - a sample of the family
 * @value: a number without sign, exponent or blank; with any other value, the sample is left out
 * ...:    label names and values in turn, ended by NULL
 */
void openmetrics_sample(struct openmetrics *metrics, const char *value, ...) __attribute__((sentinel));

/* openmetrics_count() - the same for a number */
#define openmetrics_count(metrics, number, ...)                                                              \
	openmetrics_sample(                                                                                  \
		(metrics), openmetrics_number((number), (char[OPENMETRICS_TEXT_MAX]){0}), __VA_ARGS__)

void openmetrics_end(struct openmetrics *metrics);

#define OPENMETRICS_TEXT_MAX 32

const char *openmetrics_number(uint64_t number, char text[static OPENMETRICS_TEXT_MAX]);

/* openmetrics_seconds() - "0.00005", "1.0"; @digits: of the fraction, 6 for microseconds */
const char *openmetrics_seconds(uint64_t number, int digits, char text[static OPENMETRICS_TEXT_MAX]);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Points in time for people, from what the broker sends: microseconds since the epoch, in decimal */

#define SINCE_TEXT_MAX 64

/* since_age() - how long ago: "45s", "12min", "3h12min", "4d2h"; NULL if @microseconds is NULL or not a number */
const char *since_age(const char *microseconds, char text[static SINCE_TEXT_MAX]);

/* since_date() - "2025-11-21 09:00:00 UTC", local time; NULL if @microseconds is NULL or not a number */
const char *since_date(const char *microseconds, char text[static SINCE_TEXT_MAX]);

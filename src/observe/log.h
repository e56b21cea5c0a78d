/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the broker tells the administrator: the one place that logs
 *
 * Lines go to standard error; under the service manager with the priority in front of them that the journal reads
 * (sd-daemon(3)). A healthy system logs nothing at run time. What a client or a packet can cause goes through
 * log_limited(), which drops what comes too fast and says how much that was.
 */

#include <syslog.h>

/* log_message() - @priority as in syslog(3) */
void log_message(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* log_limited() - the same, at most LOG_LIMIT_LINES in LOG_LIMIT_SECONDS from all callers together */
void log_limited(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define LOG_LIMIT_LINES 20U
#define LOG_LIMIT_SECONDS 10U

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Words for an errno. Unlike strerrorname_np(3) and strerrordesc_np(3), these are never NULL. */

/*
 * errno_name() - "ENOENT"
 * @error: a positive errno
 *
 * The kernel has a few numbers of its own (include/linux/errno.h). Of these, BPF passes ENOTSUPP to user space. Any
 * other number without a name is "errno 4711"; that text is valid until this thread asks for the next such number.
 */
const char *errno_name(int error);

/* errno_text() - "No such file or directory" */
const char *errno_text(int error);

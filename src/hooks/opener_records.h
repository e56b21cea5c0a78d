/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "../scan/inode_index.h"

/*
 * opener_records_read() - read the task_file iterator to its end
 * @iterator: gives records of struct usher_opener
 *
 * Return: 0, -EBADMSG for what is no record, or a negative errno.
 */
int opener_records_read(int iterator, struct inode_index *index);

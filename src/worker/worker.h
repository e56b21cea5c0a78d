/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The process that touches what strangers sent
 *
 * Every call here may wait for as long as the sender likes: recvmsg(2) drops what does not fit into the table, close(2)
 * waits for a file system or for SO_LINGER, and looking at a socket or putting it into a map takes its lock. So this
 * process serves one uid only, has no right to anything, and is ended when it takes too long.
 */

/*
 * worker_run() - do what comes through the channel, until that is closed
 * @channel: of work.h
 * @maps:    WORK_MAPS of them
 */
_Noreturn void worker_run(int channel, const int *maps);

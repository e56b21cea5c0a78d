/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Findings about sockets that are bound to a device, and the device by which the packet comes */

#include "evidence.h"
#include "finding.h"

/* device_is_open() - whether the packet goes to the socket that the program selects depends on a device not asked for */
bool device_is_open(const struct evidence *evidence);

/* device_faults_find() - Return: does a device keep the packet from every socket? */
bool device_faults_find(const struct evidence *evidence, struct findings *findings);

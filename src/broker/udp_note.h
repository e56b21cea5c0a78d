/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reports once what the kernel's map does to the UDP sockets of services. */

#include "../rule/rule.h"
#include "broker.h"

/* udp_note() - a UDP socket is in the map, as the name of this rule */
void udp_note(struct broker *broker, const struct rule *rule);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reading the rules again, at a signal or a request */

#include "usherd.h"

/* reload_rules() - broker_reload(), counted */
int reload_rules(struct usherd *usherd, struct rule_changes *changes, struct problems *problems,
	struct refusal *refusal);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The output of explain, for people and for programs */

#include "../ctl.h"
#include "diagnosis.h"

/* explain_print_text() - Return: 0 or -ENOMEM */
int explain_print_text(
	const struct ctl *ctl, const struct evidence *evidence, const struct diagnosis *diagnosis);

void explain_print_json(const struct evidence *evidence, const struct diagnosis *diagnosis);

/* explain_cover_result() - "wins", or why it loses: "same name", "shorter prefix", "more ports" */
const char *explain_cover_result(const struct explanation *explanation, const struct cover *cover);

/* explain_place_state() - "serving", "standby", or "unusable" when the program does not select it */
const char *explain_place_state(const struct explanation *explanation, const struct explained_place *place);

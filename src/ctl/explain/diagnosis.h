/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What happens to a packet, in one sentence, and the findings about it */

#include "evidence.h"
#include "finding.h"

struct diagnosis {
	char sentence[1024];
	enum arrival {
		ARRIVAL_NO,
		ARRIVAL_YES,	  /* a socket gets it */
		ARRIVAL_UNDECIDED /* that depends on what was not looked at, which a finding names */
	} arrives;
	struct findings findings;
};

/* diagnosis_make() - @ret: to be released on any result; Return: 0 or -ENOMEM */
int diagnosis_make(const struct evidence *evidence, struct diagnosis *ret);
void diagnosis_deinit(struct diagnosis *diagnosis);

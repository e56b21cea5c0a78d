/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What happens to a packet, in one sentence, and the findings about it */

#include "evidence.h"
#include "finding.h"

struct diagnosis {
	char sentence[1024];
	bool arrives; /* a socket gets it */
	struct findings findings;
};

/* diagnosis_make() - @ret: to be released on any result; Return: 0 or -ENOMEM */
int diagnosis_make(const struct evidence *evidence, struct diagnosis *ret);
void diagnosis_deinit(struct diagnosis *diagnosis);

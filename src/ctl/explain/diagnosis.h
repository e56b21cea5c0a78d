/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What becomes of a packet, in a sentence, and the findings about it */

#include "evidence.h"
#include "finding.h"

struct diagnosis {
	char sentence[1024];
	bool arrives; /* a socket gets it */
	struct findings findings;
};

/* diagnosis_make() - Return: 0 or -ENOMEM; diagnosis_deinit() is fine after either */
int diagnosis_make(const struct evidence *evidence, struct diagnosis *ret);
void diagnosis_deinit(struct diagnosis *diagnosis);

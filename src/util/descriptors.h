/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* descriptors_raise_limit() - let this process have as many descriptors as its hard limit allows (RLIMIT_NOFILE) */
void descriptors_raise_limit(void);

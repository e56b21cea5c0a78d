/* SPDX-License-Identifier: BSD-3-Clause */
#include "staff.h"

#include <errno.h>

int staff_new(sd_event *event, int nursery, struct staff *ret)
{
	struct staff staff = STAFF_NULL;
	int r = crew_new(event, nursery, &staff.crew);

	if (r < 0)
		return r;
	staff.sweeper = sweeper_new(staff.crew);
	if (!staff.sweeper) {
		crew_free(staff.crew);
		return -ENOMEM;
	}
	staff.nursery = nursery;
	*ret = staff;
	return 0;
}

void staff_free(struct staff *staff)
{
	sweeper_free(staff->sweeper);
	crew_free(staff->crew);
	*staff = STAFF_NULL;
}

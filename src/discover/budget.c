/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget.h"

uint64_t budget_charge(struct budget *budget, uint64_t begin, uint64_t end)
{
	uint64_t pause = begin - budget->ended;

	budget->ended = end;
	budget->scanning -= pause < budget->scanning ? pause : budget->scanning;
	budget->scanning += end - begin;
	if (budget->scanning > BUDGET_BURST_US + BUDGET_MAX_US)
		budget->scanning = BUDGET_BURST_US + BUDGET_MAX_US;
	return budget->scanning > BUDGET_BURST_US ? budget->scanning - BUDGET_BURST_US : 0;
}

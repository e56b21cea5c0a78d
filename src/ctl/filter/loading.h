/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The expressions of nf_tables that load registers from a packet and what is known about it, or store into it */

#include "attributes.h"
#include "evaluation.h"

void loading_payload(struct evaluation *evaluation, const struct attributes *attributes);
void loading_meta(struct evaluation *evaluation, const struct attributes *attributes);
void loading_connection(struct evaluation *evaluation, const struct attributes *attributes);
void loading_route(struct evaluation *evaluation, const struct attributes *attributes);
void loading_bitwise(struct evaluation *evaluation, const struct attributes *attributes);
void loading_byteorder(struct evaluation *evaluation, const struct attributes *attributes);

/* loading_state() - the state of the connection: bits as of NF_CT_STATE_BIT */
uint32_t loading_state(const struct evaluation *evaluation);

/* loading_set_mark() - of the packet, unless it is not certain that this happens */
void loading_set_mark(struct evaluation *evaluation, uint32_t mark, unsigned causes);

/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The expressions of nf_tables that send a packet somewhere else: nat, redir, tproxy, and a new destination */

#include "attributes.h"
#include "evaluation.h"

void sending_nat(struct evaluation *evaluation, const struct attributes *attributes);
void sending_redirect(struct evaluation *evaluation, const struct attributes *attributes);
void sending_tproxy(struct evaluation *evaluation, const struct attributes *attributes);

/* sending_payload() - a register is stored into a header */
void sending_payload(
	struct evaluation *evaluation, uint32_t base, uint32_t offset, uint32_t size, uint32_t source);

/* sending_to() - @address: NULL when it stays; @port: in network order, NULL when it stays */
void sending_to(struct evaluation *evaluation, const uint8_t *address, const uint16_t *port);

/* sending_to_device() - to the address of the device by which it comes; @port: as above */
void sending_to_device(struct evaluation *evaluation, const uint16_t *port);

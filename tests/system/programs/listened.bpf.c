// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Writes its input as a record into the broker's ring buffer, as the sock_ops program of usher-discover does. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "usher-bpf.h"

#define WORDS (sizeof(struct usher_event) / sizeof(__u64))

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, USHER_EVENTS_BYTES);
} events SEC(".maps");

struct record {
	__u64 words[WORDS];
};

SEC("syscall")
int write_record(struct record *given)
{
	struct record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return 1;
#pragma unroll
	for (unsigned i = 0; i < WORDS; i++)
		record->words[i] = given->words[i];
	bpf_ringbuf_submit(record, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Records that come from the kernel's side, and from the process that scans for usher-discover
 *
 * The first byte says which: an event or a listener of a ring buffer, openers of the iterator of BPF (then a byte with
 * the number of sockets, and their inodes), or a record of the process. What passes the check is as those who take it
 * rely on it.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "datapath/event_record.h"
#include "discover/scanner_record.h"
#include "hooks/listen_record.h"
#include "hooks/opener_records.h"
#include "util/address.h"
#include "util/errno_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(int family, const uint8_t *address, uint16_t port)
{
	char text[ENDPOINT_TEXT_MAX];

	assert(strlen(endpoint_format(family, address, port, text)) > strlen(":0"));
}

static void try_event(const void *record, size_t size)
{
	struct usher_event read, *event = &read;

	if (!event_record_read(record, size, event))
		return;
	assert(event->seat < USHER_SEATS_MAX);
	check_address(event->family, event->local_address, event->local_port);
	check_address(event->family, event->remote_address, event->remote_port);
	assert(event->reason != USHER_EVENT_REFUSED || errno_name(-event->error));
	assert((event->reason == USHER_EVENT_DEVICE) <= (event->error == -ENODEV));
	assert((event->reason == USHER_EVENT_MISSING) <= !event->error);
}

static void try_listen(const void *record, size_t size)
{
	const struct usher_listen *listen = record;

	if (!listen_record_check(record, size))
		return;
	assert(listen->port && (pid_t)listen->pid >= 0);
	assert(listen->protocol == IPPROTO_TCP || listen->protocol == IPPROTO_UDP);
}

static void check_openers(const struct openers *openers, size_t n_sockets)
{
	for (size_t i = 0; i < openers->n; i++) {
		const struct opener *opener = &openers->items[i], *before = opener - 1;

		assert(opener->socket < n_sockets && opener->pid >= 0 && opener->fd >= 0);
		if (i)
			assert(before->socket < opener->socket ||
				(before->socket == opener->socket &&
					(before->pid < opener->pid ||
						(before->pid == opener->pid && before->fd <= opener->fd))));
		assert(i < OPENERS_PER_SOCKET ||
			openers->items[i - OPENERS_PER_SOCKET].socket != opener->socket);
	}
}

static void try_openers(const uint8_t *data, size_t size)
{
	static int file = -1;
	struct diag_socket sockets[16];
	struct inode_index index;
	struct openers openers;
	size_t n = size ? data[0] % 16 : 0;

	if (size < 1 + n)
		return;
	memset(sockets, 0, sizeof(sockets));
	for (size_t i = 0; i < n; i++)
		sockets[i].inode = data[1 + i];
	if (file < 0)
		file = memfd_create("openers", MFD_CLOEXEC);
	size -= 1 + n;
	assert(ftruncate(file, 0) == 0 && pwrite(file, data + 1 + n, size, 0) == (ssize_t)size);
	assert(lseek(file, 0, SEEK_SET) == 0);
	assert(inode_index_init(&index, sockets, n) == 0);
	(void)opener_records_read(file, &index);
	inode_index_take(&index, &openers);
	check_openers(&openers, n);
	openers_deinit(&openers);
	inode_index_deinit(&index);
}

static void check_text(const char *text, size_t size)
{
	assert(strnlen(text, size) < size);
}

static void try_record(const void *data, size_t size)
{
	const struct scanner_record *record = data;
	const struct complaint *complaint = &record->complaint;

	if (!scanner_record_check(record, size))
		return;
	assert(size == sizeof(*record) && record->kind >= SCANNER_COMPLAINT && record->kind <= SCANNER_END);
	if (record->kind == SCANNER_END)
		return;
	check_text(complaint->text, sizeof(complaint->text));
	if (record->kind == SCANNER_FAILURE)
		return;
	check_text(complaint->name, sizeof(complaint->name));
	check_text(complaint->process, sizeof(complaint->process));
	check_text(complaint->unit, sizeof(complaint->unit));
	check_address(complaint->family, complaint->address, complaint->port);
	assert(name_is_valid(complaint->name) && complaint->pid >= 0 && errno_name(complaint->error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* aligned as records are, and of the exact size, so that the sanitizer sees reads beyond it */
	void *record;

	if (!size)
		return 0;
	record = malloc(size);
	assert(record);
	memcpy(record, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		try_event(record, size - 1);
		break;
	case 1:
		try_listen(record, size - 1);
		break;
	case 2:
		try_openers(record, size - 1);
		break;
	case 3:
		try_record(record, size - 1);
		break;
	}
	free(record);
	return 0;
}

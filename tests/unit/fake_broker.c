/* SPDX-License-Identifier: BSD-3-Clause */
#undef NDEBUG
#include "fake_broker.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "descriptors.h"
#include "util/macro.h"
#include "wire/message.h"

static char dir[] = "/tmp/usher-test-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void broker_echo(int connection, char *text, size_t size)
{
	struct writer writer = WRITER_NULL;
	struct message message;
	struct refusal refusal;

	assert(message_parse(&message, text, size, &refusal) == 0);
	writer_put(&writer, KEY_ERRNO, "%d", EPERM);
	writer_put(&writer, KEY_REASON, "%s", message_get(&message, KEY_NAME));
	assert(packet_send(connection, writer.text, writer.size, NULL, 0) == 0);
}

static void broker_serve(struct fake_broker *broker, int connection)
{
	struct packet packet = PACKET_NULL;
	struct refusal refusal;
	int r;

	if (packet_receive(connection, &packet, &refusal) != 0)
		return;
	memcpy(broker->request, packet.text, packet.size + 1);
	broker->n_fds = packet.n_fds;
	if (broker->ending == ECHO)
		broker_echo(connection, packet.text, packet.size);
	packet_deinit(&packet);
	for (const struct answer *a = broker->answers; a && a->text; a++)
		do {
			r = packet_send(connection, a->text, strlen(a->text), a->fds, a->n_fds);
		} while (broker->ending == ENDLESS && r == 0);
	if (broker->ending != STAY)
		return;
	r = packet_receive(connection, &packet, &refusal);
	assert(r == PACKET_END || r == -ECONNRESET); /* the latter if it left an answer unread */
}

void *fake_broker_run(void *userdata)
{
	struct fake_broker *broker = userdata;

	for (size_t i = 0; i < (broker->n_connections ? broker->n_connections : 1); i++) {
		_cleanup_close_ int connection = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC);

		assert(connection >= 0);
		broker_serve(broker, connection);
	}
	return NULL;
}

void fake_broker_start(struct fake_broker *broker)
{
	broker->n_open = descriptors_count();
	broker->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert(broker->listener >= 0);
	(void)unlink(address.sun_path);
	assert(bind(broker->listener, (const struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(broker->listener, 16) == 0);
	if (broker->ending != DEAF)
		assert(pthread_create(&broker->thread, NULL, fake_broker_run, broker) == 0);
}

void fake_broker_stop(struct fake_broker *broker)
{
	if (broker->ending != DEAF)
		assert(pthread_join(broker->thread, NULL) == 0);
	closep(&broker->listener);
	assert_int_equal(descriptors_count(), broker->n_open);
}

const struct sockaddr_un *fake_broker_address(void)
{
	return &address;
}

int fake_broker_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/usher.sock", dir);
	return setenv("USHER_SOCKET", address.sun_path, 1);
}

int fake_broker_tear_down(void **state)
{
	(void)state;
	(void)unlink(address.sun_path);
	return rmdir(dir);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a broker answers, as usherctl and the library read it
 *
 * The first byte says for what the rows are taken. Then come packets: two bytes with the size, the highest bit of which
 * attaches a descriptor, and the text. They are in the queue of the socket when the request is sent; then it is closed.
 * Whatever they are, a refusal is fit to print, and JSON and metrics that are made of them are well formed.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/out/fields.h"
#include "ctl/out/openmetrics.h"
#include "ctl/out/since.h"
#include "ctl/view/rates.h"
#include "ctl/view/seats.h"
#include "ctl/view/served.h"
#include "ctl/view/settings.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKETS_MAX 16U
#define WITH_DESCRIPTOR 0x8000U

/* ---- is it JSON? */

static const char *skip_blank(const char *text)
{
	return text + strspn(text, " \n");
}

static const char *skip_string(const char *text)
{
	assert(*text == '"');
	for (text++; *text != '"'; text++) {
		assert((unsigned char)*text >= 0x20); /* RFC 8259: others are escaped */
		if (*text == '\\') {
			text++;
			assert(*text == '"' || *text == '\\' || *text == 't');
		}
		assert(*text);
	}
	return text + 1;
}

static const char *skip_value(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (*text == '"')
		return skip_string(text);
	if (digits) {
		assert(digits == 1 || *text != '0');
		return text + digits;
	}
	for (size_t i = 0; i < 3; i++) {
		const char *word = (const char *[]){"true", "false", "null"}[i];

		if (!strncmp(text, word, strlen(word)))
			return text + strlen(word);
	}
	abort();
}

/* An object of simple values */
static void check_json(const char *text)
{
	text = skip_blank(text);
	assert(*text++ == '{');
	text = skip_blank(text);
	while (*text != '}') {
		text = skip_blank(skip_string(text));
		assert(*text++ == ':');
		text = skip_blank(skip_value(skip_blank(text)));
		assert(*text == ',' || *text == '}');
		if (*text == ',') {
			text = skip_blank(text + 1);
			assert(*text == '"');
		}
	}
	assert(!*skip_blank(text + 1));
}

/* ---- are they metrics? */

static const char *skip_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	assert(digits);
	text += digits;
	if (*text != '.')
		return text;
	digits = strspn(++text, "0123456789");
	assert(digits);
	return text + digits;
}

static void check_sample(const char *text)
{
	static const char begin[] = "usher_test{broker=\"";

	if (!*text)
		return; /* it was left out */
	assert(!strncmp(text, begin, strlen(begin)));
	for (text += strlen(begin) - 1;;) {
		assert(*text == '"');
		for (text++; *text != '"'; text++) {
			assert(*text && *text != '\n');
			if (*text == '\\') {
				text++;
				assert(*text == '\\' || *text == '"' || *text == 'n');
			}
		}
		if (*++text == '}')
			break;
		assert(*text == ',');
		text += strcspn(text, "=") + 1;
	}
	assert(text[1] == ' ');
	text = skip_number(text + 2);
	assert(!strcmp(text, "\n"));
}

/* ---- rows */

struct memory {
	FILE *stream;
	char *text;
	size_t size;
};

static struct memory memory_open(void)
{
	static char text[1 << 17];
	struct memory memory = {.text = text, .size = sizeof(text)};

	memory.stream = fmemopen(text, sizeof(text), "w");
	assert(memory.stream);
	return memory;
}

static void memory_close(struct memory *memory)
{
	long size = ftell(memory->stream);

	assert(size >= 0 && (size_t)size < memory->size && !fclose(memory->stream));
	memory->text[size] = '\0';
	assert(strlen(memory->text) == (size_t)size);
}

static void print_json(const struct message *message)
{
	static const enum message_key numbers[] = {KEY_PID, KEY_LOOKUPS, KEY_NONE},
				      booleans[] = {KEY_HELD, KEY_NONE};
	struct memory memory = memory_open();
	struct json json = JSON(memory.stream);

	json_open(&json, NULL, '{');
	fields_print_json(message, &json, numbers, booleans);
	json_close(&json, '}');
	memory_close(&memory);
	check_json(memory.text);
}

static void print_text(const struct message *message)
{
	struct memory memory = memory_open();
	size_t lines = 0;

	fields_print_text(message, memory.stream);
	memory_close(&memory);
	for (const char *at = memory.text; (at = strchr(at, '\n')); at++)
		lines++;
	assert(lines <= message->n_fields && text_is_clean(memory.text, strcspn(memory.text, "\n")));
}

static void print_sample(const struct client *client)
{
	struct memory memory = memory_open();
	struct openmetrics metrics = {.out = memory.stream,
		.broker = ask_value(client, KEY_INSTANCE, "x"),
		.family = "usher_test",
		.suffix = ""};

	if (!*metrics.broker)
		metrics.broker = "x";
	openmetrics_sample(&metrics, ask_value(client, KEY_LOOKUPS, "5"), "name",
		ask_value(client, KEY_NAME, ""), "unit", ask_value(client, KEY_UNIT, ""), NULL);
	memory_close(&memory);
	check_sample(memory.text);
}

static int print_row(struct client *client, void *userdata)
{
	char text[SINCE_TEXT_MAX];

	(void)userdata;
	print_json(&client->message);
	print_text(&client->message);
	print_sample(client);
	(void)since_age(message_get(&client->message, KEY_HANDED_IN), text);
	(void)since_date(message_get(&client->message, KEY_HANDED_IN), text);
	return 0;
}

/* ---- requests */

static void check_outcome(const struct client *client, int r, const struct refusal *refusal)
{
	assert(r == 0 || r == REFUSED);
	if (r == REFUSED)
		assert(refusal->error > 0 && refusal->error <= 4095 && *refusal->text &&
			text_is_clean(refusal->text, strlen(refusal->text)));
	else
		assert(client->socket >= 0 && message_get(&client->message, KEY_OK));
}

static void read_seats(struct client *client)
{
	struct seats seats = SEATS_NULL;
	struct rates rates = RATES_NULL;
	struct refusal refusal;
	struct writer request;
	int r;

	client_begin(&request, REQUEST_LIST);
	r = ask(client, &request, NULL, 0, seats_add_row, &seats, &refusal);
	check_outcome(client, r, &refusal);
	for (unsigned look = 0; look < 2; look++) {
		rates_begin(&rates);
		for (size_t i = 0; i < seats.n; i++) {
			const struct seat *seat = &seats.items[i];

			for (size_t k = 0; k < seat->n_places; k++)
				(void)(place_is(seat->places[k], STATE_SERVING) |
					place_is_held(seat->places[k]));
			assert(i == 0 || strcmp(seat[-1].name, seat->name) <= 0);
			assert(rates_add(&rates, seat->name, seat->n_places, seat->counters[SEAT_LOOKUPS],
				       look ? 0 : seat->counters[SEAT_MISSING], look) == 0);
		}
		rates_end(&rates, 1 + look);
		for (size_t i = 0; i < rates.n; i++)
			for (size_t k = 0; k < 3; k++)
				assert(rates.items[i].per_second[k] >= 0);
	}
	rates_deinit(&rates);
	seats_deinit(&seats);
}

static void read_settings(struct client *client)
{
	struct settings settings = SETTINGS_NULL;
	struct refusal refusal;
	struct writer request;
	char source[128];
	size_t added, removed;
	int r;

	client_begin(&request, REQUEST_RULES);
	r = ask(client, &request, NULL, 0, settings_add_row, &settings, &refusal);
	check_outcome(client, r, &refusal);
	settings_sort(&settings);
	for (size_t i = 0; i < settings.n; i++) {
		size_t at = settings_find(&settings, settings.items[i]->name);

		assert(at <= i && !strcmp(settings.items[at]->name, settings.items[i]->name));
		(void)setting_source(settings.items[i], source, sizeof(source));
	}
	settings_count_changes(&settings, &settings, &added, &removed);
	assert(!added && !removed);
	settings_deinit(&settings);
}

static void read_served(struct client *client)
{
	struct served served = SERVED_NULL;
	struct refusal refusal;
	int r = served_read(client, &served, &refusal);

	check_outcome(client, r, &refusal);
	for (size_t i = 0; r == 0 && i < served.n; i++)
		assert(served_has(&served, served.items[i].name, served.items[i].cookie) &&
			served_knows(&served, served.items[i].name));
	served_deinit(&served);
}

static void read_answer(struct client *client, uint8_t way)
{
	struct refusal refusal;
	struct writer request;
	int r;

	switch (way % 5) {
	case 0:
		read_seats(client);
		break;
	case 1:
		read_settings(client);
		break;
	case 2:
		read_served(client);
		break;
	case 3:
		r = served_check_namespace(client, &refusal);
		assert(r == 0 || r == REFUSED);
		break;
	case 4:
		client_begin(&request, REQUEST_STATUS);
		r = ask(client, &request, NULL, 0, print_row, NULL, &refusal);
		check_outcome(client, r, &refusal);
		if (!r)
			(void)print_row(client, NULL);
		break;
	}
}

static void send_packets(int socket, const uint8_t *data, size_t size)
{
	static int null = -1;

	if (null < 0)
		null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < PACKETS_MAX && size > 2; i++) {
		unsigned head = data[0] | (unsigned)data[1] << 8;
		size_t length = head & ~WITH_DESCRIPTOR;

		data += 2;
		size -= 2;
		length = length < size ? length : size;
		if (length > PACKET_TEXT_MAX)
			(void)send(socket, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (length)
			(void)packet_send(
				socket, (const char *)data, length, &null, head & WITH_DESCRIPTOR ? 1 : 0);
		data += length;
		size -= length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client client = CLIENT_NULL;
	int ends[2];

	if (!size)
		return 0;
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	client.socket = ends[0];
	client.timeout_ms = 60000;
	send_packets(ends[1], data + 1, size - 1);
	/* the request still gets there, and nobody reads it */
	assert(shutdown(ends[1], SHUT_WR) == 0);
	read_answer(&client, data[0]);
	client_close(&client);
	(void)close(ends[1]);
	return 0;
}

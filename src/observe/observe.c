/* SPDX-License-Identifier: BSD-3-Clause */
#include "observe.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>

#include "../util/address.h"
#include "../util/clock.h"
#include "../util/macro.h"
#include "../util/text.h"
#include "../util/transport.h"

#define FIELDS_MAX 20
#define FIELD_SIZE 640
#define UID_BUCKETS 16

static const struct kind {
	const char *word; /* for observe_word() */
	const char *id;	  /* MESSAGE_ID=; stable, as units/usher.catalog has them */
	int priority;
	bool limited; /* a client or a packet can cause it */
} kinds[OBSERVE_KINDS] = {
	[OBSERVE_HANDED_IN] = {"handed-in", "bfe8c6aaa1524d879f4771cec0177a9d", LOG_INFO, true},
	[OBSERVE_ALTERED] = {"altered", "8263bf5282f14f00be95716f35a749f2", LOG_NOTICE, false},
	[OBSERVE_WITHDRAWN] = {"withdrawn", "db86792e7cbc4584a61d407fb959aad5", LOG_INFO, true},
	[OBSERVE_TAKEN_OVER] = {"taken-over", "9e9d2563c6df4819b6e36a3d95545f5a", LOG_NOTICE, true},
	[OBSERVE_GONE] = {"gone", "bcc567d0ad01447f8fa0bcd7104615b2", LOG_NOTICE, true},
	[OBSERVE_REFUSED] = {"refused", "5f59b5ec4dc344d88ca1b3f3082914e3", LOG_WARNING, true},
	[OBSERVE_MISSING] = {"missing", "495e2fb0c633483bafdb5b46534fa246", LOG_WARNING, true},
	[OBSERVE_RELOADED] = {"reloaded", "a64a4caee9d148e48507bc576e722680", LOG_INFO, false},
	[OBSERVE_FAULT] = {"fault", "6c0d3b1e5f9a4b7c8f21d4a7e3c95b02", LOG_ERR, false},
	[OBSERVE_UNKNOWN] = {"unknown", "1bb1c0ba3b6b4d11a4b4e2b1a9e0f6d7", LOG_WARNING, false},
	[OBSERVE_RELOAD_FAILED] = {"reload-failed", "d0647596aa4e43ae8ddc0b7c77d73f31", LOG_ERR, false},
	[OBSERVE_SWITCHED] = {"switched", "2ab973933072486abedd2ee13f2f9205", LOG_INFO, false},
	[OBSERVE_RESTORED] = {"restored", "8f68d489c4a64272b25ea4ad6573322f", LOG_INFO, false},
	[OBSERVE_CONFLICT] = {"conflict", "d938b64bf25241ff8e3f80de9ab1849b", LOG_WARNING, true},
	[OBSERVE_LOST] = {"lost", "d79df587a7e64b5fa746e46a8bb5592e", LOG_WARNING, false},
	[OBSERVE_DETACHED] = {"detached", "d7c40f05f7ad43c9853b454e7e5b5782", LOG_NOTICE, false},
	[OBSERVE_NOT_STARTED] = {"not-started", "300fbfa627c240a1a85a78c5f15af489", LOG_ERR, false},
	[OBSERVE_EVICTED] = {"evicted", "5ecf402f2b854e10ac4142098165166a", LOG_WARNING, true},
	[OBSERVE_PASSED_OVER] = {"passed-over", "18f3b94d7c514462bee88e90066631da", LOG_WARNING, true},
	[OBSERVE_SCANNING] = {"scanning", "612dc7f4aa1d4fcbb08080f81ee1b961", LOG_WARNING, false},
	[OBSERVE_NO_BROKER] = {"no-broker", "7941790fd2b2495b886f541272763a3f", LOG_WARNING, false},
	[OBSERVE_UNREACHABLE] = {"unreachable", "86b3bb23f44546768256911633edbc22", LOG_WARNING, true},
	[OBSERVE_REACHED] = {"reached", "dc20825951b8455789764120b5b47a23", LOG_NOTICE, true},
	[OBSERVE_FULL] = {"full", "b82ef64e275a45d1aca0e7ecf77c2a10", LOG_WARNING, true},
	[OBSERVE_FAILED] = {"failed", "e04828ef671e44bda1d3aed94df05c05", LOG_ERR, true},
};

/* The note that messages were left out has none of the fields which the catalog shows for their kind. */
#define LEFT_OUT_ID "a2285d7bac8f4626b35b018f5b729e1f"

static const char *program_name = "usherd";

void observe_as(const char *program)
{
	program_name = program;
}

/* ---- fields */

struct fields {
	char text[FIELDS_MAX][FIELD_SIZE];
	struct iovec vector[FIELDS_MAX];
	int n;
};

static void add_field(struct fields *fields, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_field(struct fields *fields, const char *format, ...)
{
	char *text = fields->text[fields->n];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, FIELD_SIZE, format, ap);
	va_end(ap);
	text_make_printable(text);
	fields->vector[fields->n++] = (struct iovec){.iov_base = text, .iov_len = strlen(text)};
}

static void add_text(struct fields *fields, const char *key, const char *value)
{
	if (value && *value)
		add_field(fields, "%s=%s", key, value);
}

static void add_about(struct fields *fields, const struct observed *about)
{
	char address[INET6_ADDRSTRLEN], client[ENDPOINT_TEXT_MAX];

	add_text(fields, "USHER_NAME", about->name);
	add_text(fields, "USHER_RULE", about->rule);
	if (about->protocol)
		add_text(fields, "USHER_PROTOCOL", protocol_word(about->protocol));
	if (about->family)
		add_text(fields, "USHER_FAMILY", family_word(about->family));
	if (about->address) {
		add_text(fields, "USHER_ADDRESS",
			address_format(about->address_family, about->address, address));
		add_field(fields, "USHER_PORT=%u", about->port);
	}
	if (about->client)
		add_field(fields, "USHER_CLIENT=%s",
			endpoint_format(about->address_family, about->client, about->client_port, client));
	add_text(fields, "USHER_DEVICE", about->device);
	if (about->cookie)
		add_field(fields, "USHER_COOKIE=%" PRIx64, about->cookie);
	add_text(fields, "USHER_REASON", about->reason);
	if (about->error)
		add_field(fields, "ERRNO=%d", about->error);
	if (about->by_client)
		add_field(fields, "USHER_UID=%u", about->uid);
	if (about->pid > 0)
		add_field(fields, "OBJECT_PID=%d", (int)about->pid);
	add_text(fields, "OBJECT_SYSTEMD_UNIT", about->unit);
}

/* ---- where to */

/* Standard error is the journal if it is the stream that $JOURNAL_STREAM names (systemd.exec(5)). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* journald looks in /proc for the unit of a sender, and finds none when that has ended, as after a start that failed. */
static const char *own_unit(void)
{
	static char *unit;
	static bool asked;

	if (!asked && sd_pid_get_unit(0, &unit) < 0)
		unit = NULL;
	asked = true;
	return unit;
}

static void write_message(const struct kind *kind, const struct observed *about, const char *message)
{
	struct fields fields = {.n = 0};

	if (!is_journal()) {
		(void)fprintf(stderr, "%s: %s\n", program_name, message);
		return;
	}
	add_field(&fields, "MESSAGE=%s", message);
	add_field(&fields, "MESSAGE_ID=%s", kind->id);
	add_field(&fields, "PRIORITY=%d", kind->priority);
	add_text(&fields, "SYSLOG_IDENTIFIER", program_name);
	add_field(&fields, "DOCUMENTATION=man:%s(8)", program_name);
	if (about)
		add_about(&fields, about);
	if (!about || (!about->unit && about->pid <= 0))
		add_text(&fields, "OBJECT_SYSTEMD_UNIT", own_unit());
	(void)sd_journal_sendv(fields.vector, fields.n);
}

/* ---- the limit */

struct bucket {
	uint64_t until; /* CLOCK_MONOTONIC, seconds: end of the window */
	unsigned n, left_out;
};

static bool is_within_limit(enum observe_kind kind, const struct observed *about)
{
	static struct bucket buckets[OBSERVE_KINDS][UID_BUCKETS];
	struct bucket *bucket = &buckets[kind][about && about->by_client ? about->uid % UID_BUCKETS : 0];
	uint64_t now = clock_monotonic_usec() / CLOCK_USEC_PER_SEC;
	struct kind left_out;
	char text[96];

	if (now >= bucket->until) {
		if (bucket->left_out) {
			(void)snprintf(
				text, sizeof(text), "%u similar messages were suppressed", bucket->left_out);
			left_out = kinds[kind];
			left_out.id = LEFT_OUT_ID;
			write_message(&left_out, NULL, text);
		}
		*bucket = (struct bucket){.until = now + OBSERVE_LIMIT_SECONDS};
	}
	if (bucket->n < OBSERVE_LIMIT) {
		bucket->n++;
		return true;
	}
	bucket->left_out++;
	return false;
}

/* ---- the listener */

static struct {
	observe_listener *function;
	void *userdata;
} listener;

void observe_listen(observe_listener *function, void *userdata)
{
	listener.function = function;
	listener.userdata = userdata;
}

const char *observe_word(enum observe_kind kind)
{
	return kinds[kind].word;
}

bool observe_from_word(const char *word, enum observe_kind *ret)
{
	for (unsigned kind = 0; word && kind < OBSERVE_KINDS; kind++)
		if (strcmp(kinds[kind].word, word) == 0) {
			*ret = kind;
			return true;
		}
	return false;
}

void observe(enum observe_kind kind, const struct observed *about, const char *format, ...)
{
	bool written = !kinds[kind].limited || is_within_limit(kind, about);
	char message[600];
	va_list ap;

	if (!written && !listener.function)
		return;
	va_start(ap, format);
	(void)vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	text_make_printable(message);
	if (listener.function)
		listener.function(kind, about ? about : &(struct observed){0}, message, listener.userdata);
	if (written)
		write_message(&kinds[kind], about, message);
}

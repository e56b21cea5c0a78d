/* SPDX-License-Identifier: BSD-3-Clause */
#undef NDEBUG
#include "served.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "descriptors.h"
#include "util/macro.h"
#include "wire/message.h"
#include "worker/nursery.h"

#define DEADLINE_SECONDS 60

struct served served;

/* ---- time: half a minute is more than a test has */

static uint64_t shorten(uint64_t usec)
{
	if (usec != SESSION_IDLE_SECONDS * UINT64_C(1000000))
		return usec;
	served.n_idle_set++;
	return served.idle_usec ? served.idle_usec : usec;
}

int sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
	uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
	typeof(sd_event_add_time_relative) *real =
		(typeof(sd_event_add_time_relative) *)dlsym(RTLD_NEXT, "sd_event_add_time_relative");
	uint64_t shortened = shorten(usec);

	return real(event, ret, clock, shortened, shortened < usec ? 1 : accuracy, callback, userdata);
}

int sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
	typeof(sd_event_source_set_time_relative) *real = (typeof(sd_event_source_set_time_relative) *)dlsym(
		RTLD_NEXT, "sd_event_source_set_time_relative");

	return real(source, shorten(usec));
}

/* ---- the handler */

struct rows {
	unsigned long n, at;
	bool with_fd;
};

/* Keys that only these tests know */
static void put_other(struct writer *packet, const char *key, unsigned long value)
{
	packet->size += (size_t)snprintf(
		packet->text + packet->size, sizeof(packet->text) - packet->size, "%s=%lu\n", key, value);
	assert_true(packet->size < sizeof(packet->text));
}

static const char *get_other(const struct message *message, const char *key)
{
	for (size_t i = 0; i < message->n_fields; i++)
		if (message->fields[i].key == KEY_NONE && !strcmp(message->fields[i].word, key))
			return message->fields[i].value;
	return NULL;
}

static bool rows_next(void *state, struct writer *packet, int *fds, size_t *n_fds)
{
	struct rows *rows = state;

	assert_int_equal(*n_fds, 0);
	if (rows->at == rows->n) {
		writer_put(packet, KEY_OK, "1");
		return false;
	}
	writer_put(packet, KEY_ROW, "1");
	put_other(packet, "NUMBER", rows->at++);
	if (rows->with_fd)
		fds[(*n_fds)++] = STDERR_FILENO;
	served.n_rows++;
	return true;
}

static void rows_release(void *state)
{
	served.n_released++;
	free(state);
}

static bool tail_is_ready(void *state)
{
	const struct rows *rows = state;

	return rows->at < served.n_ready;
}

static void answer_tail(struct session *session)
{
	struct answer_source source = {.next = rows_next, .release = rows_release, .is_ready = tail_is_ready};
	struct rows *rows = calloc(1, sizeof(*rows));

	assert_non_null(rows);
	rows->n = ULONG_MAX;
	source.state = rows;
	session_answer_rows(session, &source);
}

static void answer_rows(struct session *session, const struct message *message)
{
	struct answer_source source = {.next = rows_next, .release = rows_release};
	struct rows *rows = calloc(1, sizeof(*rows));

	assert_non_null(rows);
	rows->n = strtoul(get_other(message, "N"), NULL, 10);
	rows->with_fd = get_other(message, "FD") != NULL;
	source.state = rows;
	session_answer_rows(session, &source);
}

static void answer_who(struct session *session, struct intake_request *request)
{
	struct writer packet = WRITER_NULL;
	const struct identity *identity = &request->identity;

	writer_put(&packet, KEY_OK, "1");
	put_other(&packet, "PEER", session_uid(session));
	writer_put(&packet, KEY_UID, "%u", identity->uid);
	writer_put(&packet, KEY_GID, "%u", identity->gid);
	writer_put(&packet, KEY_PID, "%d", identity->pid);
	writer_put(&packet, KEY_UNIT, "%s", identity->unit);
	writer_put(&packet, KEY_VERIFIED, "%s", identity->verified ? "yes" : "no");
	for (size_t i = 0; i < identity->n_groups; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "GROUP%zu", i);
		put_other(&packet, key, identity->groups[i]);
	}
	session_answer(session, &packet);
}

static void handle(struct session *session, struct intake_request *request, void *userdata)
{
	const char *verb = message_get(request->message, KEY_REQUEST),
		   *text = message_get(request->message, KEY_TEXT);
	struct writer packet = WRITER_NULL;
	struct refusal refusal;

	assert_ptr_equal(userdata, &served);
	assert_true(session_has_answered(session));
	served.session = session;
	served.n_requests++;
	served.n_fds = request->n_fds;
	writer_put(&packet, KEY_OK, "1");
	if (verb && !strcmp(verb, "rows")) {
		answer_rows(session, request->message);
	} else if (verb && !strcmp(verb, "tail")) {
		answer_tail(session);
	} else if (verb && !strcmp(verb, "who")) {
		answer_who(session, request);
	} else if (verb && !strcmp(verb, "refuse")) {
		(void)refuse(&refusal, EACCES, "%s", text);
		session_refuse(session, &refusal);
	} else {
		if (verb && !strcmp(verb, "keep"))
			served.kept = TAKE_PTR(request->parcel);
		if (text)
			writer_put(&packet, KEY_TEXT, "%s", text);
		session_answer(session, &packet);
	}
	assert_true(session_has_answered(session) == (verb && !strcmp(verb, "tail")));
}

static int admit(struct session *session, const struct intake_request *request, struct refusal *refusal,
	void *userdata)
{
	const char *verb = message_get(request->message, KEY_REQUEST);

	(void)session;
	assert_ptr_equal(userdata, &served);
	return verb && !strcmp(verb, "unseen") ? refuse(refusal, EINVAL, "nobody wants them") : 0;
}

/* ---- the loop */

static double now(void)
{
	struct timespec t;

	assert_return_code(clock_gettime(CLOCK_MONOTONIC, &t), errno);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start_staff(void);

int served_set_up(void **state)
{
	(void)state;
	/* code that writes to a client that is gone must not rely on an ignored SIGPIPE */
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	served = (struct served){.folder = "/tmp/usher-door-XXXXXX"};
	served.n_before = descriptors_count();
	assert_non_null(mkdtemp(served.folder));
	assert_return_code(chmod(served.folder, 0711), errno);
	(void)snprintf(served.path, sizeof(served.path), "%s/usher.sock", served.folder);
	assert_true(sd_event_new(&served.event) >= 0);
	start_staff();
	served_open_door();
	served_warm_up();
	return 0;
}

static void start_staff(void)
{
	_cleanup_close_ int no_map = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int maps[WORK_MAPS] = {no_map, no_map};
	int nursery;

	assert_int_equal(nursery_start(&nursery, &served.nursery), 0);
	assert_int_equal(staff_new(served.event, nursery, &served.staff), 0);
	assert_int_equal(crew_start(served.staff.crew, maps), 0);
}

static void on_settled(bool settled, void *userdata)
{
	*(bool *)userdata = settled;
}

void served_warm_up(void)
{
	double deadline = now() + DEADLINE_SECONDS;
	int client = client_open();
	bool settled = false;

	/* what the sweeper does not close before the end is closed by the end of the process, and would be found open here */
	assert_non_null(sweeper_settle(served.staff.sweeper, on_settled, &settled));
	while (!settled) {
		assert_true(sd_event_run(served.event, 20000) >= 0);
		assert_true(now() < deadline);
	}
	client_send_fds(client, "REQUEST=echo\n", (int[]){0}, 1);
	client_expect(client, "OK=1\n");
	assert_return_code(close(client), errno);
	/* until every worker has its pidfd, and nothing more happens */
	for (size_t n = 0; n != (served.n_idle = descriptors_count()) || served_run(); n = served.n_idle) {
		assert_true(sd_event_run(served.event, 20000) >= 0);
		assert_true(now() < deadline);
	}
	served.n_requests = 0;
	served.n_fds = 0;
	served.n_idle_set = 0;
}

void served_open_door(void)
{
	assert_int_equal(
		door_new(served.event, &served.staff, -1, served.path, admit, handle, &served, &served.door),
		0);
}

int served_tear_down(void **state)
{
	(void)state;
	served.door = door_free(served.door);
	assert_int_equal(access(served.path, F_OK), -1);
	parcel_release(served.kept, NULL, NULL);
	staff_free(&served.staff);
	assert_int_equal(waitpid(served.nursery, NULL, 0), served.nursery);
	(void)sd_event_unref(served.event);
	assert_return_code(rmdir(served.folder), errno);
	for (double deadline = now() + DEADLINE_SECONDS; descriptors_count() != served.n_before;)
		assert_true(now() < deadline);
	return 0;
}

unsigned served_run(void)
{
	double deadline = now() + DEADLINE_SECONDS;
	unsigned n = 0;
	int r;

	while ((r = sd_event_run(served.event, 0)) > 0) {
		n++;
		assert_true(now() < deadline);
	}
	assert_int_equal(r, 0);
	return n;
}

void served_wait_descriptors(size_t n)
{
	double deadline = now() + DEADLINE_SECONDS;

	while (descriptors_count() != n) {
		assert_true(sd_event_run(served.event, 10000) >= 0);
		if (now() >= deadline)
			fail_msg("%zu descriptors are open, and not %zu", descriptors_count(), n);
	}
}

/* ---- clients */

int client_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_return_code(fd, errno);
	strcpy(address.sun_path, served.path);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

void client_send_fds(int client, const char *text, const int *fds, size_t n_fds)
{
	assert_int_equal(packet_send(client, text, strlen(text), fds, n_fds), 0);
}

void client_send(int client, const char *text)
{
	client_send_fds(client, text, NULL, 0);
}

int client_receive(int client, struct packet *packet)
{
	double deadline = now() + DEADLINE_SECONDS;
	struct refusal refusal;
	int r;

	while ((r = packet_receive(client, packet, &refusal)) == PACKET_AGAIN) {
		assert_true(sd_event_run(served.event, 10000) >= 0);
		assert_true(now() < deadline);
	}
	if (r == PACKET_REFUSED)
		fail_msg("%s", refusal.text);
	return r;
}

void client_expect(int client, const char *text)
{
	struct packet packet = PACKET_NULL;

	assert_int_equal(client_receive(client, &packet), 0);
	assert_string_equal(packet.text, text);
	assert_int_equal(packet.n_fds, 0);
	packet_deinit(&packet);
}

void client_expect_end(int client)
{
	struct packet packet = PACKET_NULL;
	int r = client_receive(client, &packet);

	if (r != PACKET_END)
		fail_msg("%d instead of the end: %s", r, packet.text);
}

void client_expect_refusal(int client, int error, const char *reason)
{
	struct packet packet = PACKET_NULL;
	struct message message;
	struct refusal refusal;
	char number[16];

	assert_int_equal(client_receive(client, &packet), 0);
	assert_int_equal(message_parse(&message, packet.text, packet.size, &refusal), 0);
	(void)snprintf(number, sizeof(number), "%d", error);
	assert_int_equal(message.n_fields, 2);
	assert_string_equal(message_get(&message, KEY_ERRNO), number);
	if (!strstr(message_get(&message, KEY_REASON), reason))
		fail_msg("'%s' does not say '%s'", message_get(&message, KEY_REASON), reason);
	packet_deinit(&packet);
}

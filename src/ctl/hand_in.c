/* SPDX-License-Identifier: BSD-3-Clause */

/* usherctl hand-in: hand sockets in under their names, then execute a command to which the sockets are passed on */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/macro.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/protocol.h"
#include "again.h"
#include "ask.h"
#include "bridge.h"
#include "complain.h"
#include "ctl.h"
#include "out/json.h"
#include "passed.h"
#include "run.h"
#include "spares.h"
#include "stand_in.h"

/* What one run of hand-in has done */
struct handover {
	const struct ctl *ctl;
	struct client client;
	unsigned long added, kept;
};

static void handover_deinit(struct handover *handover)
{
	client_close(&handover->client);
}

static int check_count(size_t n)
{
	if (n <= PROTOCOL_HAND_IN_MAX)
		return EXIT_SUCCESS;
	complain(
		"cannot hand in %zu sockets: one request takes at most %u (E2BIG); use several requests, with --fd",
		n, PROTOCOL_HAND_IN_MAX);
	return EXIT_FAILURE;
}

static unsigned long read_number(const struct client *client, enum message_key key)
{
	unsigned long number = 0;

	(void)text_to_uint(ask_value(client, key, "0"), ~0UL, &number);
	return number;
}

/* One request, which the broker grants or refuses as a whole. Return: 0, REFUSED, or a negative errno. */
static int request(struct handover *handover, enum message_key key, const char *names, const int *fds,
	size_t n_fds, struct refusal *refusal)
{
	struct writer writer;
	int r;

	client_begin(&writer, handover->ctl->hold ? REQUEST_HOLD : REQUEST_HAND_IN);
	writer_put(&writer, key, "%s", names);
	writer_put(&writer, KEY_VIA, "%s", via_word(VIA_CTL));
	r = ask(&handover->client, &writer, fds, n_fds, NULL, NULL, refusal);
	if (r)
		return r;
	handover->added += read_number(&handover->client, KEY_ADDED);
	handover->kept += read_number(&handover->client, KEY_KEPT);
	return 0;
}

/* standard output is the command's, if there is one */
static void print_result(const struct handover *handover, const char *names, const struct passed *passed)
{
	struct json json = JSON(stdout);
	char number[32];

	if (handover->ctl->command)
		return;
	if (!handover->ctl->json) {
		(void)printf("handed in '%s': %lu added, %lu kept\n", names, handover->added, handover->kept);
		return;
	}
	json_open(&json, NULL, '{');
	(void)snprintf(number, sizeof(number), "%lu", handover->added);
	json_number(&json, "added", number);
	(void)snprintf(number, sizeof(number), "%lu", handover->kept);
	json_number(&json, "kept", number);
	json_open(&json, "left", '[');
	for (size_t i = 0; passed && i < passed->n_fds; i++) {
		const struct passed_fd *fd = &passed->fds[i];

		if (fd->handed_in)
			continue;
		json_open(&json, NULL, '{');
		(void)snprintf(number, sizeof(number), "%d", fd->fd);
		json_number(&json, "descriptor", number);
		json_string(&json, "name", fd->name);
		json_string(&json, "reason", fd->why);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

/* Outcome of connect_broker() besides the exit codes: there is no broker, and none is needed */
enum { WITHOUT_BROKER = -1 };

static int connect_broker(struct handover *handover, const char *names)
{
	struct refusal refusal;
	int r = ask_open(&handover->client, handover->ctl, ASK_TIMEOUT_MS, &refusal);

	if (r == CLIENT_ABSENT && handover->ctl->if_broker)
		return WITHOUT_BROKER;
	return r ? complain_refusal(r, &refusal, "cannot hand in '%s'", names) : EXIT_SUCCESS;
}

/* ---- descriptors of --fd: the user chose them, so it is all of them or none; and that of --stand-in */

static int hand_in_these(const struct ctl *ctl, const int *fds, size_t n_fds)
{
	_cleanup_(handover_deinit) struct handover handover = {.ctl = ctl, .client = CLIENT_NULL};
	const char *name = ctl->names[0];
	struct refusal refusal;
	int r;

	r = connect_broker(&handover, name);
	if (r)
		return r == WITHOUT_BROKER ? EXIT_SUCCESS : r;
	r = request(&handover, KEY_NAME, name, fds, n_fds, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot hand in '%s'", name);
	print_result(&handover, name, NULL);
	return EXIT_SUCCESS;
}

static int hand_in_given(const struct ctl *ctl)
{
	int r;

	for (size_t i = 0; i < ctl->n_fds; i++)
		if (fcntl(ctl->fds[i], F_GETFD) < 0) {
			complain(
				"cannot hand in '%s': descriptor %d is not open (EBADF); see what starts usherctl",
				ctl->names[0], ctl->fds[i]);
			return EXIT_FAILURE;
		}
	r = check_count(ctl->n_fds);
	return r ? r : hand_in_these(ctl, ctl->fds, ctl->n_fds);
}

static int hand_in_stand_in(const struct ctl *ctl)
{
	int fd, r = stand_in_open(ctl, &fd);

	return r ? r : hand_in_these(ctl, &fd, 1);
}

/* ---- descriptors of $LISTEN_FDS */

/* Does what was asked about a name show a rule of it? For ask(). */
static int note_rule(struct client *client, void *userdata)
{
	bool *has_rule = userdata;

	*has_rule = *has_rule || strcmp(ask_value(client, KEY_STATE, ""), state_word(STATE_UNROUTED)) != 0;
	return 0;
}

/*
 * Asks whether the name has a rule. The broker could just be offered the socket, but its refusal would be in the journal,
 * and in doctor, for something that is as it should be.
 */
static int find_rule(struct handover *handover, const char *name, bool *ret, struct refusal *refusal)
{
	struct writer writer;
	int r;

	*ret = false;
	client_begin(&writer, REQUEST_LIST);
	writer_put(&writer, KEY_NAME, "%s", name);
	r = ask(&handover->client, &writer, NULL, 0, note_rule, ret, refusal);
	/* it has a rule that could not be read: the broker says so when the socket is offered */
	if (r == REFUSED && refusal->error == EBADMSG)
		*ret = true;
	return r == REFUSED && (refusal->error == ENOENT || refusal->error == EBADMSG) ? 0 : r;
}

static int leave_without_rule(const struct handover *handover, struct passed_offer *offer)
{
	const char *folder = handover->ctl->instance.rule_dirs[0], *name = offer->name;

	if (name_is_of_socket_unit(name))
		return passed_leave(offer->fd,
			"there is no rule '%s' (ENOENT); " NAME_OF_SOCKET_UNIT
			": if it is to be handed in, set it to the name of the rule",
			name, name);
	return passed_leave(offer->fd,
		"there is no rule '%s' (ENOENT); if it is to be handed in, write %s/%s.rule and run 'usherctl reload'",
		name, folder, name);
}

/* The offers of one name are those from `first`. Return: how many they are. */
static size_t count_alike(const struct passed *passed, size_t first)
{
	size_t n = 1;

	while (first + n < passed->n_offers &&
		strcmp(passed->offers[first + n].name, passed->offers[first].name) == 0)
		n++;
	return n;
}

static void note_done(struct passed_offer *offers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		offers[i].done = true;
		offers[i].fd->handed_in = true;
	}
}

/* All sockets of a name in one request, of which the first one serves. Return: as request(). */
static int offer_together(
	struct handover *handover, struct passed_offer *offers, size_t n, struct refusal *refusal)
{
	int fds[PROTOCOL_HAND_IN_MAX] = {}, r;

	for (size_t i = 0; i < n; i++)
		fds[i] = offers[i].fd->fd;
	r = request(handover, KEY_NAME, offers[0].name, fds, n, refusal);
	if (!r)
		note_done(offers, n);
	return r;
}

/* "it is bound to …" of "socket 3 is bound to …": what the broker says of a socket starts with its number here */
static int leave_refused(struct passed_offer *offer, const struct refusal *refusal)
{
	char number[32];
	size_t length = (size_t)snprintf(number, sizeof(number), "socket %d ", offer->fd->fd);

	if (strncmp(refusal->text, number, length) == 0)
		return passed_leave(offer->fd, "it %s", refusal->text + length);
	return passed_leave(offer->fd, "%s", refusal->text);
}

/* Does the refusal come from what usherd or the host is short of, and not from what the socket is? */
static bool is_for_lack(const struct refusal *refusal)
{
	static const int errors[] = {
		ENOSPC, EAGAIN, EBUSY, ENOMEM, ENOBUFS, EMFILE, ENFILE, ECHILD, ETIMEDOUT, E2BIG, EIO};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (refusal->error == errors[i])
			return true;
	return false;
}

/*
 * One name. If the broker refuses its sockets together, each is offered alone: a socket unit has one name for all its
 * lines, and not every line has to be for usher. The newest socket serves, so the first one comes last.
 */
static int offer_name(
	struct handover *handover, struct passed_offer *offers, size_t n, struct refusal *refusal)
{
	int r = offer_together(handover, offers, n, refusal);
	bool alone = n > 1 && refusal->error != ENOENT && refusal->error != EBADMSG, any = false;

	if (r != REFUSED || handover->client.socket < 0 || is_for_lack(refusal))
		return r;
	for (size_t i = n; i-- > 0;) {
		r = alone ? offer_together(handover, &offers[i], 1, refusal) : REFUSED;
		if (r < 0 || (r && (handover->client.socket < 0 || is_for_lack(refusal))))
			return r;
		any = any || !r;
		if (r && leave_refused(&offers[i], refusal) < 0)
			return -ENOMEM;
	}
	return any ? 0 : REFUSED;
}

/* With arguments, each name must get a socket; without, any name. */
static int offer_names(struct handover *handover, struct passed *passed)
{
	const struct ctl *ctl = handover->ctl;
	bool asks = !ctl->n_names && count_alike(passed, 0) < passed->n_offers, any = false;
	struct refusal refusal = {}, last = {};
	int r;

	for (size_t i = 0, n; i < passed->n_offers; i += n) {
		struct passed_offer *offers = &passed->offers[i];
		bool has_rule = true;

		n = count_alike(passed, i);
		r = asks ? find_rule(handover, offers->name, &has_rule, &refusal) : 0;
		for (size_t j = 0; j < n && !has_rule; j++)
			if (leave_without_rule(handover, &offers[j]) < 0)
				r = -ENOMEM;
		if (!r && has_rule)
			r = offer_name(handover, offers, n, &refusal);
		if (r < 0 || (r && (handover->client.socket < 0 || ctl->n_names || is_for_lack(&refusal))))
			return complain_refusal(r, &refusal, "cannot hand in '%s'", offers->name);
		if (r)
			last = refusal;
		any = any || (!r && has_rule);
	}
	if (any)
		return EXIT_SUCCESS;
	if (passed->n_fds > 1)
		passed_complain(passed, false);
	if (last.error)
		return complain_refusal(REFUSED, &last, "cannot hand in '%s'", passed->text);
	/* no name has a rule: the broker says so, and remembers it for explain */
	r = offer_together(handover, passed->offers, 1, &refusal);
	return r ? complain_refusal(r, &refusal, "cannot hand in '%s'", passed->text) : EXIT_SUCCESS;
}

/* --strict: everything that was passed, in one request */
static int offer_all(struct handover *handover, struct passed *passed)
{
	_cleanup_free_ char *names = NULL;
	int fds[PROTOCOL_HAND_IN_MAX], r = check_count(passed->n_offers);
	struct refusal refusal;
	size_t size = 1;
	char *at;

	for (size_t i = 0; i < passed->n_offers; i++)
		size += strlen(passed->offers[i].name) + 1;
	names = at = r ? NULL : malloc(size);
	if (!names)
		return r ? r : complain_memory();
	for (size_t i = 0; i < passed->n_offers; i++) {
		fds[i] = passed->offers[i].fd->fd;
		at = stpcpy(stpcpy(at, i ? ":" : ""), passed->offers[i].name);
	}
	r = request(handover, KEY_NAMES, names, fds, passed->n_offers, &refusal);
	if (r)
		return complain_refusal(r, &refusal, "cannot hand in '%s'", passed->text);
	note_done(passed->offers, passed->n_offers);
	return EXIT_SUCCESS;
}

static int check_counts(const struct passed *passed)
{
	int r = EXIT_SUCCESS;

	for (size_t i = 0, n; i < passed->n_offers && !r; i += n) {
		n = count_alike(passed, i);
		r = check_count(n);
	}
	return r;
}

/* --unit: the rules in force that name the unit */
static int find_rules(struct handover *handover, struct socket_rules *rules)
{
	const char *unit = handover->ctl->unit;
	struct refusal refusal;
	int r = connect_broker(handover, unit);

	if (r)
		return r;
	r = socket_rules_ask(&handover->client, unit, rules, &refusal);
	return r ? complain_refusal(r, &refusal, "cannot hand in the sockets of '%s'", unit) : EXIT_SUCCESS;
}

static int hand_in_passed(const struct ctl *ctl)
{
	_cleanup_(handover_deinit) struct handover handover = {.ctl = ctl, .client = CLIENT_NULL};
	_cleanup_(socket_rules_deinit) struct socket_rules rules = SOCKET_RULES_NULL;
	_cleanup_(passed_deinit) struct passed passed = {};
	int r = ctl->unit ? find_rules(&handover, &rules) : EXIT_SUCCESS;

	if (r)
		return r == WITHOUT_BROKER ? EXIT_SUCCESS : r;
	r = passed_read(ctl, &rules, &passed);
	if (!r && ctl->strict && !passed_is_whole(&passed)) {
		passed_complain(&passed, false);
		complain(
			"cannot hand in '%s': not everything in $LISTEN_FDS can be handed in (EINVAL), as --strict demands; leave --strict out, or pass less",
			passed.text);
		r = EXIT_FAILURE;
	}
	if (!r) {
		spares_complain(&passed);
		r = check_counts(&passed);
	}
	if (!r && !ctl->unit)
		r = connect_broker(&handover, passed.text);
	if (r)
		return r == WITHOUT_BROKER ? EXIT_SUCCESS : r;
	r = ctl->strict ? offer_all(&handover, &passed) : offer_names(&handover, &passed);
	if (r)
		return r;
	passed_complain(&passed, true);
	if (passed_describe(ctl, &passed) < 0)
		return complain_memory();
	print_result(&handover, passed.text, &passed);
	return EXIT_SUCCESS;
}

int verb_hand_in(const struct ctl *ctl)
{
	int r = ctl->listen_fds ? bridge_check(ctl) : EXIT_SUCCESS;

	if (ctl->again)
		return again_run(ctl);
	if (!r && ctl->stand_in)
		r = hand_in_stand_in(ctl);
	else if (!r)
		r = ctl->n_fds > 0 ? hand_in_given(ctl) : hand_in_passed(ctl);
	if (!r && ctl->listen_fds)
		r = bridge_build(ctl);
	if (!r && ctl->command)
		r = run_command(ctl);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "usher.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "../util/error.h"
#include "../util/macro.h"
#include "../util/name.h"
#include "../util/text.h"
#include "../wire/protocol.h"
#include "client.h"
#include "public.h"
#include "reason.h"

static_assert(USHER_TIMEOUT_DEFAULT_MS == CLIENT_TIMEOUT_DEFAULT_MS, "the header and the client agree");

/* Turns the outcome of a client call into what the library returns; @success if it succeeded. */
static int call_end(int r, unsigned flags, int success)
{
	if (r == 0) {
		reason_clear();
		return success;
	}
	if (r == CLIENT_ABSENT && !(flags & USHER_STRICT))
		return 0;
	return -reason()->error;
}

static int check_name(const char *name)
{
	if (!name)
		return refuse(reason(), EINVAL, "there is no name (EINVAL); " NAME_RULE);
	if (!name_is_valid(name))
		return refuse(reason(), EINVAL, "'%.80s' is not a name (EINVAL): " NAME_RULE, name);
	return 0;
}

static int check_flags(unsigned flags, unsigned known)
{
	if (flags & ~known)
		return refuse(
			reason(), EINVAL, "flags 0x%x are not known to this call (EINVAL)", flags & ~known);
	return 0;
}

static int check_fds(const int fds[], size_t n_fds, size_t n_min)
{
	if (n_fds < n_min || (n_fds && !fds))
		return refuse(reason(), EINVAL, "there is no socket (EINVAL)");
	if (n_fds > PROTOCOL_HAND_IN_MAX)
		return refuse(reason(), E2BIG,
			"%zu sockets are too many for one call, which takes at most %u (E2BIG)", n_fds,
			PROTOCOL_HAND_IN_MAX);
	return 0;
}

/* Connect and send a request about a name. Returns 0, REFUSED or CLIENT_ABSENT. */
static int call_begin(struct client *client, enum request_verb verb, const char *name, const int fds[],
	size_t n_fds, int timeout_ms)
{
	struct writer request;
	int r;

	r = client_open(client, NULL, timeout_ms, reason());
	if (r != 0)
		return r;
	client_begin(&request, verb);
	writer_put(&request, KEY_NAME, "%s", name);
	if (verb == REQUEST_HAND_IN || verb == REQUEST_HOLD)
		writer_put(&request, KEY_VIA, "%s", via_word(VIA_LIBRARY));
	return client_request(client, &request, fds, n_fds, reason());
}

/* A request that is answered with OK or a refusal, and nothing else. */
static int call_simple(
	enum request_verb verb, const char *name, const int fds[], size_t n_fds, int timeout_ms)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	int r;

	r = call_begin(&client, verb, name, fds, n_fds, timeout_ms);
	if (r != 0)
		return r;
	do {
		r = client_next(&client, reason());
	} while (r == CLIENT_ROW);
	return r;
}

_public_ int usher_hand_in(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms)
{
	int r;

	r = check_name(name);
	if (r == 0)
		r = check_flags(flags, USHER_STRICT | USHER_HOLD);
	if (r == 0)
		r = check_fds(fds, n_fds, 1);
	if (r == 0)
		r = call_simple(
			flags & USHER_HOLD ? REQUEST_HOLD : REQUEST_HAND_IN, name, fds, n_fds, timeout_ms);
	return call_end(r, flags, 1);
}

_public_ int usher_withdraw(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms)
{
	int r;

	r = check_name(name);
	if (r == 0)
		r = check_flags(flags, USHER_STRICT);
	if (r == 0)
		r = check_fds(fds, n_fds, 0);
	if (r == 0)
		r = call_simple(REQUEST_WITHDRAW, name, fds, n_fds, timeout_ms);
	return call_end(r, flags, 1);
}

_public_ int usher_hold(const char *name, const int fds[], size_t n_fds, unsigned flags, int timeout_ms)
{
	return usher_hand_in(name, fds, n_fds, flags | USHER_HOLD, timeout_ms);
}

/* Reads the rows of a claim. Takes the first @n_fds descriptors; *ret_n is how many came, also on failure. */
static int claim_receive(struct client *client, int ret_fds[], size_t n_fds, size_t *ret_n)
{
	const char *claimed;
	unsigned long number;
	int r;

	*ret_n = 0;
	while ((r = client_next(client, reason())) == CLIENT_ROW)
		for (size_t i = 0; i < client->reply.n_fds; i++, (*ret_n)++)
			if (*ret_n < n_fds)
				ret_fds[*ret_n] = TAKE_FD(client->reply.fds[i]);
	if (r != 0)
		return r;
	claimed = message_get(&client->message, KEY_CLAIMED);
	if (!*ret_n || !claimed || text_to_uint(claimed, INT_MAX, &number) < 0 || number != *ret_n)
		return refuse(reason(), EPROTO,
			"the broker at %s sent %zu sockets and says that it sent %s (EPROTO)",
			client->address.sun_path, *ret_n, claimed ? claimed : "no number");
	return 0;
}

_public_ int usher_claim(const char *name, int ret_fds[], size_t n_fds, unsigned flags, int timeout_ms)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	size_t n = 0;
	int r;

	r = check_name(name);
	if (r == 0)
		r = check_flags(flags, USHER_STRICT);
	if (r == 0 && (!n_fds || !ret_fds))
		r = refuse(reason(), EINVAL, "there is no room for a socket (EINVAL)");
	if (r == 0)
		r = call_begin(&client, REQUEST_CLAIM, name, NULL, 0, timeout_ms);
	if (r == 0)
		r = claim_receive(&client, ret_fds, n_fds, &n);
	if (r == 0 && n > n_fds)
		r = refuse(reason(), ENOBUFS,
			"%zu sockets are held as '%s', the caller has room for %zu (ENOBUFS)", n, name,
			n_fds);
	for (size_t i = 0; r != 0 && i < n && i < n_fds; i++) {
		closep(&ret_fds[i]);
		ret_fds[i] = -1;
	}
	return call_end(r, flags, (int)n);
}

_public_ const char *usher_reason(void)
{
	return reason()->text;
}

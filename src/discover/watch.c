/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <string.h>
#include <sys/epoll.h>

#include "../observe/observe.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "ports.h"

static void on_listen(const struct usher_listen *listen, void *userdata)
{
	struct watch *watch = userdata;

	watch->handlers.listen(listen, watch->handlers.userdata);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct watch *watch = userdata;
	uint64_t lost;

	(void)source;
	(void)fd;
	(void)events;
	hooks_read(watch->hooks);
	lost = hooks_lost(watch->hooks);
	if (lost != watch->lost)
		watch->handlers.lost(watch->handlers.userdata);
	watch->lost = lost;
	return 0;
}

static bool wants_kernel(const struct rule_set *rules)
{
	for (size_t i = 0; i < rules->n_rules; i++)
		if (rules->rules[i].discover.present && rules->rules[i].discover.in_kernel)
			return true;
	return false;
}

/* Try again without Listen=kernel, in case only that does not work. */
static int open_hooks(
	struct watch *watch, const struct rule_set *rules, struct hooks **ret, struct refusal *refusal)
{
	struct hooks_manner manner = {
		.cgroup = watch->cgroup,
		.netns_cookie = watch->netns_cookie,
		.pins = wants_kernel(rules) ? watch->pins : NULL,
		.function = on_listen,
		.userdata = watch,
	};
	int r = hooks_new(&manner, ret, refusal);

	if (r != REFUSED || !manner.pins) {
		watch->told_kernel = false;
		return r;
	}
	if (!watch->told_kernel)
		observe(OBSERVE_SCANNING, NULL,
			"Listen=kernel does not work, so sockets are handed in after they have begun to listen: %s",
			refusal->text);
	watch->told_kernel = true;
	manner.pins = NULL;
	return hooks_new(&manner, ret, refusal);
}

static struct hooks *make_hooks(struct watch *watch, const struct rule_set *rules)
{
	_cleanup_free_ struct usher_wanted *wanted = NULL;
	struct hooks *hooks = NULL;
	struct refusal refusal;
	size_t n;
	int r;

	r = ports_of_rules(rules, &wanted, &n);
	if (!r)
		r = open_hooks(watch, rules, &hooks, &refusal);
	if (!r)
		r = hooks_want(hooks, wanted, n);
	if (!r)
		r = sd_event_add_io(
			watch->event, &watch->source, hooks_fd(hooks), EPOLLIN, on_readable, watch);
	if (hooks && r >= 0) {
		watch->told_none = false;
		return hooks;
	}
	if (r < 0)
		(void)refuse(&refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	if (!watch->told_none)
		observe(OBSERVE_SCANNING, NULL,
			"cannot be notified when a socket begins to listen, and scans from time to time: %s",
			refusal.text);
	watch->told_none = true;
	return hooks_free(hooks);
}

void watch_replace(struct watch *watch, const struct rule_set *rules)
{
	struct hooks *old = watch->hooks;

	watch->source = sd_event_source_disable_unref(watch->source);
	watch->hooks = make_hooks(watch, rules);
	watch->lost = watch->hooks ? hooks_lost(watch->hooks) : 0;
	hooks_free(old);
}

void watch_again(struct watch *watch, uint8_t protocol, uint16_t port)
{
	if (watch->hooks)
		hooks_want_again(watch->hooks, protocol, port);
}

void watch_deinit(struct watch *watch)
{
	sd_event_source_disable_unref(watch->source);
	hooks_free(watch->hooks);
}

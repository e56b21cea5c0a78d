/* SPDX-License-Identifier: BSD-3-Clause */

/* usherd(8): options, signals, exit status. */

#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "../broker/naming.h"
#include "../datapath/loader.h"
#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../wire/protocol.h"
#include "../worker/nursery.h"
#include "detached.h"
#include "doors.h"
#include "reload.h"
#include "restore.h"

/* As in systemd.exec(5) and sysexits.h; usherd(8) lists them. */
enum {
	STATUS_INVALID_ARGUMENT = 2,
	STATUS_NOT_INSTALLED = 5,
};

/* To load a program takes 40; the rest are for clients. */
#define DESCRIPTORS_MIN 64U

#define FAULTS_REPORTED_MAX 100U

struct options {
	const char *instance;
	bool check;
};

static const char help[] = "Usage: usherd [OPTION]...\n"
			   "Dispatch connections to the sockets that services hand in.\n"
			   "\n"
			   "  --instance=NAME  use the folders of this instance: /run/usher-NAME,\n"
			   "                   /etc/usher-NAME/rules.d, /sys/fs/bpf/usher-NAME\n"
			   "  --check          read the rules, report all problems, and exit\n"
			   "  --help           show this text and exit\n"
			   "  --version        show the versions of program, protocol and pins, and exit\n"
			   "\n"
			   "SIGHUP reloads the rules. SIGTERM ends the broker; dispatch stays in place\n"
			   "until 'usherctl detach'. See usherd(8).\n";

/* Return: -1 to continue, or an exit status. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {
		{"instance", required_argument, NULL, 'i'},
		{"check", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		switch (option) {
		case 'i':
			ret->instance = optarg;
			break;
		case 'c':
			ret->check = true;
			break;
		case 'h':
			return fputs(help, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'v':
			return printf("usherd %s (protocol %u, pins %u)\n", USHER_VERSION, PROTOCOL_VERSION,
				       USHER_SCHEMA) < 0 ||
					       fflush(stdout)
				       ? EXIT_FAILURE
				       : EXIT_SUCCESS;
		default:
			return STATUS_INVALID_ARGUMENT;
		}
	if (optind < argc) {
		fprintf(stderr, "usherd: '%s' is not an option; see usherd --help\n", argv[optind]);
		return STATUS_INVALID_ARGUMENT;
	}
	return -1;
}

/* Checks the rules on the host where usherd runs; needs no privileges and changes nothing. */
static int check(const struct instance *instance)
{
	_cleanup_(generation_unrefp) struct generation *generation = NULL;
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	char text[1024];
	int r = generation_parse(NULL, instance->rule_dirs, NULL, &generation, &problems);

	if (!r) {
		r = access_table_look_up(generation->access);
		r = r < 0 ? r : access_table_warn(generation->access, &problems);
	}
	for (size_t i = 0; i < problems.n; i++)
		fprintf(stderr, r ? "usherd: %s\n" : "usherd: warning: %s\n",
			problem_format(&problems.items[i], text, sizeof(text)));
	if (r < 0)
		fprintf(stderr, "usherd: cannot check the rules (%s)\n", errno_name(-r));
	return r < 0 ? EX_OSERR : r ? EX_CONFIG : EXIT_SUCCESS;
}

static int exit_status(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
	case EROFS:
		return EX_NOPERM;
	case ENOSYS:
		return STATUS_NOT_INSTALLED;
	case EBUSY:
		return EX_TEMPFAIL;
	case EUCLEAN:
	case EXDEV:
	case ENODEV:
	case ENOTDIR:
	case ELOOP:
	case EADDRNOTAVAIL: /* of a door */
	case ENOSPC:
		return EX_CONFIG;
	default:
		return EX_OSERR;
	}
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct rule_changes changes;
	struct refusal refusal;

	(void)source;
	(void)info;
	(void)reload_rules(userdata, &changes, &problems, &refusal);
	return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct usherd *usherd = userdata;

	(void)info;
	if (!usherd->door || door_finish(usherd->door) < 0)
		return sd_event_exit(sd_event_source_get_event(source), 0);
	return 0;
}

static int handle_signals(sd_event *event, struct usherd *usherd)
{
	sigset_t mask;
	int r;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(event, NULL, SIGTERM, on_terminate, usherd);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, on_terminate, usherd);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, usherd);
	return r < 0 ? r : 0;
}

/* Every registrant and every held socket costs a descriptor. Return: whether there are enough to begin with. */
static bool raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return true;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max >= DESCRIPTORS_MIN)
		return true;
	observe(OBSERVE_NOT_STARTED, NULL,
		"cannot start: usherd may have %ju files open, and needs %u (EMFILE); raise LimitNOFILE= of its unit, or 'ulimit -n'",
		(uintmax_t)limit.rlim_max, DESCRIPTORS_MIN);
	return false;
}

/*
 * A reload needs large arrays for a moment. By default, each free(3) of a mapped array raises the size above which
 * malloc(3) maps arrays, up to 32 MiB. Later arrays would then be in the heap and leave holes there.
 */
static void keep_heap_small(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

static int start_staff(struct usherd *usherd)
{
	const struct registry *registry = &usherd->broker.registry;
	const int maps[WORK_MAPS] = {
		[WORK_MAP_SOCKETS] = registry->maps[REGISTRY_SOCKETS],
		[WORK_MAP_FRONT] = registry->maps[REGISTRY_FRONT],
	};

	int r;

	usherd->staff.netns_cookie = usherd->broker.netns_cookie;
	r = naming_begin(&usherd->broker, &usherd->staff);
	return r < 0 ? r : crew_start(usherd->staff.crew, maps);
}

static void report_faults(const struct problems *problems)
{
	char text[1024];

	for (size_t i = 0; i < problems->n && i < FAULTS_REPORTED_MAX; i++) {
		const struct observed about = {
			.rule = problems->items[i].file, .reason = problems->items[i].text};

		observe(OBSERVE_FAULT, &about, "%s", problem_format(&problems->items[i], text, sizeof(text)));
	}
	if (problems->n)
		observe(OBSERVE_FAULT, NULL,
			"errors in the rule files: %zu; names whose file has one take no sockets until 'usherctl reload' succeeds, and the other rules are in force",
			problems->n);
}

static int start_usherd(
	struct usherd *usherd, sd_event *event, const struct instance *instance, const char *name)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(passed_deinit) struct passed passed = PASSED_NULL;
	struct refusal refusal;
	char text[1024];
	int r;

	usherd->started = clock_realtime_usec();
	r = handle_signals(event, usherd);
	if (!r)
		r = passed_take(instance, &passed, &refusal);
	if (!r)
		r = broker_adopt(&usherd->broker, event, instance, name, &problems, &refusal);
	if (!r)
		r = start_staff(usherd);
	if (!r)
		r = doors_open(usherd, &passed, &refusal);
	if (!r)
		r = broker_apply(&usherd->broker, &refusal);
	if (!r) {
		detached_clear(instance);
		report_faults(&problems);
		restore_passed(&usherd->broker, &passed);
		broker_announce(&usherd->broker);
		return EXIT_SUCCESS;
	}
	if (r == BROKER_BAD_RULES) {
		for (size_t i = 0; i < problems.n; i++)
			observe(OBSERVE_NOT_STARTED, NULL, "%s",
				problem_format(&problems.items[i], text, sizeof(text)));
		observe(OBSERVE_NOT_STARTED, NULL,
			"cannot start: the rule files have errors; what was dispatched before still is");
		return EX_CONFIG;
	}
	if (r < 0)
		(void)refuse(&refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	observe(OBSERVE_NOT_STARTED, NULL, "cannot start: %s", refusal.text);
	return exit_status(refusal.error);
}

/* No rule could be changed any more: the service manager starts the broker anew, and dispatch goes on. */
static int on_loader_end(sd_event_source *source, int channel, uint32_t revents, void *userdata)
{
	(void)channel;
	(void)revents;
	(void)userdata;
	return sd_event_exit(sd_event_source_get_event(source), -ECHILD);
}

/* As sd_event_loop(), and each turn is timed. */
static int run_loop(sd_event *event, struct tally *tally)
{
	int r = 0;

	while (r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED) {
		uint64_t begin;

		r = sd_event_prepare(event);
		if (r == 0)
			r = sd_event_wait(event, UINT64_MAX);
		if (r <= 0)
			continue;
		begin = clock_monotonic_nsec();
		r = sd_event_dispatch(event);
		tally_turn(tally, clock_monotonic_nsec() - begin);
	}
	return r < 0 ? r : sd_event_get_exit_code(event, &r) < 0 ? 0 : r;
}

static void event_unrefp(sd_event **event)
{
	(void)sd_event_unref(*event);
}

int main(int argc, char **argv)
{
	_cleanup_(event_unrefp) sd_event *event = NULL;
	struct usherd usherd = USHERD_NULL;
	struct options options = {.instance = ""};
	struct instance instance;
	int status, loader, nursery = -1, r;
	pid_t nursery_pid;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	if (instance_init(&instance, options.instance) < 0) {
		fprintf(stderr,
			"usherd: '%s' is not the name of an instance; use up to 31 characters of A-Z a-z 0-9 . _ @ -\n",
			options.instance);
		return STATUS_INVALID_ARGUMENT;
	}
	if (options.check)
		return check(&instance);

	(void)umask(022);
	if (!raise_descriptor_limit())
		return EX_OSERR;
	loader = loader_start();
	if (loader < 0) {
		observe(OBSERVE_NOT_STARTED, NULL, "cannot start: no process that loads programs (%s)",
			errno_name(-loader));
		return EX_OSERR;
	}
	r = nursery_start(&nursery, &nursery_pid);
	if (r < 0) {
		observe(OBSERVE_NOT_STARTED, NULL, "cannot start: no process for descriptors of clients (%s)",
			errno_name(-r));
		return EX_OSERR;
	}
	keep_heap_small();
	libbpf_set_print(NULL);
	r = sd_event_new(&event);
	if (r >= 0)
		r = staff_new(event, nursery, &usherd.staff);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, loader, EPOLLRDHUP, on_loader_end, NULL);
	if (r < 0) {
		observe(OBSERVE_NOT_STARTED, NULL, "cannot start: no event loop (%s)", errno_name(-r));
		return EX_OSERR;
	}
	status = start_usherd(&usherd, event, &instance, options.instance);
	if (status == EXIT_SUCCESS) {
		(void)sd_event_set_watchdog(event, true);
		r = run_loop(event, &usherd.tally);
		(void)sd_notify(0, "STOPPING=1");
		if (r < 0) {
			observe(OBSERVE_FAILED, NULL, "the event loop failed (%s)", errno_name(-r));
			status = EX_OSERR;
		}
	}
	doors_close(&usherd);
	usherd.broker.staff = NULL;
	staff_free(&usherd.staff);
	broker_close(&usherd.broker);
	nursery_wait(nursery_pid);
	return status;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* usher-discover(8): options, signals, exit status */

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../hooks/iterator.h"
#include "../observe/observe.h"
#include "../util/cleanup.h"
#include "../util/clock.h"
#include "../util/descriptors.h"
#include "../util/errno_name.h"
#include "../wire/protocol.h"
#include "discoverer.h"

/* Where systemd mounts cgroup v2: alone, or next to v1 */
static const char *const cgroups[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

/* From systemd.exec(5), as in usherd */
enum { STATUS_INVALID_ARGUMENT = 2 };

struct options {
	const char *instance, *socket, *cgroup;
};

static const char help[] = "Usage: usher-discover [OPTION]...\n"
			   "Hand in the listening sockets of daemons that cannot do so themselves, as\n"
			   "[Discover] in the rules describes them.\n"
			   "\n"
			   "  --instance=NAME  the instance of usherd to work for\n"
			   "  --socket=PATH    its socket, instead of /run/usher/usher.sock\n"
			   "  --cgroup=PATH    root of the cgroups (v2) to watch; by default where systemd\n"
			   "                   mounts it\n"
			   "  --help           show this text and exit\n"
			   "  --version        show the versions of program and protocol, and exit\n"
			   "\n"
			   "SIGHUP reads the rules again. 'usherctl discover --dry-run' shows what would be\n"
			   "handed in. See usher-discover(8).\n";

/* Return: -1 to continue, or an exit status. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {
		{"instance", required_argument, NULL, 'i'},
		{"socket", required_argument, NULL, 's'},
		{"cgroup", required_argument, NULL, 'c'},
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
		case 's':
			ret->socket = optarg;
			break;
		case 'c':
			ret->cgroup = optarg;
			break;
		case 'h':
			return fputs(help, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'v':
			return printf("usher-discover %s (protocol %u)\n", USHER_VERSION, PROTOCOL_VERSION) <
						       0 ||
					       fflush(stdout)
				       ? EXIT_FAILURE
				       : EXIT_SUCCESS;
		default:
			return STATUS_INVALID_ARGUMENT;
		}
	if (optind < argc) {
		fprintf(stderr, "usher-discover: '%s' is not an option; see usher-discover --help\n",
			argv[optind]);
		return STATUS_INVALID_ARGUMENT;
	}
	return -1;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_usec());
	discoverer_reload(userdata);
	(void)sd_notify(0, "READY=1");
	return 0;
}

static int handle_signals(sd_event *event, struct discoverer *discoverer)
{
	sigset_t mask;
	int r;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGHUP, on_reload, discoverer);
	return r < 0 ? r : 0;
}

static void report_faults(const struct problems *problems)
{
	char text[1024];

	for (size_t i = 0; i < problems->n; i++)
		observe(OBSERVE_FAULT,
			&(struct observed){
				.rule = problems->items[i].file, .reason = problems->items[i].text},
			"%s", problem_format(&problems->items[i], text, sizeof(text)));
	if (problems->n)
		observe(OBSERVE_FAULT, NULL,
			"errors in the rule files: %zu; for the names of these files nothing is discovered",
			problems->n);
}

static int complain_start(int r, struct refusal *refusal)
{
	if (r < 0)
		(void)refuse(refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	observe(OBSERVE_NOT_STARTED, NULL, "cannot start: %s", refusal->text);
	return EX_OSERR;
}

static const char *find_cgroup(void)
{
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(cgroups); i++)
		if (statfs(cgroups[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return cgroups[i];
	return cgroups[0];
}

static void event_unrefp(sd_event **event)
{
	(void)sd_event_unref(*event);
}

static int run_loop(const struct discoverer_manner *manner)
{
	_cleanup_(event_unrefp) sd_event *event = NULL;
	_cleanup_(discoverer_freep) struct discoverer *discoverer = NULL;
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	struct refusal refusal;
	int r;

	r = sd_event_new(&event);
	if (r >= 0)
		r = discoverer_new(event, manner, &discoverer, &problems, &refusal);
	if (!r)
		r = handle_signals(event, discoverer);
	if (r)
		return complain_start(r, &refusal);
	report_faults(&problems);
	(void)sd_event_set_watchdog(event, true);
	r = sd_event_loop(event);
	(void)sd_notify(0, "STOPPING=1");
	if (r >= 0)
		return EXIT_SUCCESS;
	observe(OBSERVE_FAILED, NULL, "the event loop failed (%s)", errno_name(-r));
	return EX_OSERR;
}

/* Return: a number above those of all descriptors that are open. */
static int find_first_fd(void)
{
	_cleanup_(closedirp) DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;
	int first = STDERR_FILENO + 1;

	while (folder && (entry = readdir(folder)))
		if (atoi(entry->d_name) >= first)
			first = atoi(entry->d_name) + 1;
	return first;
}

/*
 * Loading the iterator takes longer than a scan: load it now, not when the first daemon has begun to listen, and not in
 * each process that scans.
 */
static void prepare_search(void)
{
	_cleanup_(openers_deinit) struct openers nothing = {.n = 0};

	(void)iterator_find(NULL, 0, getpid(), &nothing);
	openers_use(iterator_find);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct discoverer_manner manner;
	struct instance instance;
	int status;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	if (instance_init(&instance, options.instance) < 0) {
		fprintf(stderr,
			"usher-discover: '%s' is not the name of an instance; use up to 31 characters of A-Z a-z 0-9 . _ @ -\n",
			options.instance);
		return STATUS_INVALID_ARGUMENT;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	libbpf_set_print(NULL);
	observe_as("usher-discover");
	descriptors_raise_limit(); /* each socket costs a scan two until it is handed in */
	prepare_search();
	manner = (struct discoverer_manner){
		.instance = &instance,
		.socket = options.socket ? options.socket : instance.socket,
		.cgroup = options.cgroup ? options.cgroup : find_cgroup(),
		.first_fd = find_first_fd(),
	};
	return run_loop(&manner);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* usher-relay(8): options, signals, exit status */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "../observe/observe.h"
#include "../util/clock.h"
#include "../util/descriptors.h"
#include "../util/errno_name.h"
#include "../util/instance.h"
#include "../util/name.h"
#include "../util/text.h"
#include "relay.h"

#define DRAIN_DEFAULT_SECONDS 25UL
#define DRAIN_MAX_SECONDS 86400UL

/* From systemd.exec(5), as in usherd */
enum { STATUS_INVALID_ARGUMENT = 2 };

struct options {
	const char *name, *instance;
	unsigned long drain_seconds;
};

static const char help[] =
	"Usage: usher-relay [OPTION]... NAME\n"
	"Relay the clients of listening sockets to a backend that cannot hand its own in,\n"
	"as [Relay] in the rule of NAME describes it. The service manager passes the\n"
	"listening sockets: see usher-relay@.service.\n"
	"\n"
	"  --drain=SECONDS  how long connections may go on after SIGTERM; 25 by default\n"
	"  --instance=NAME  the instance of usherd whose rules are read\n"
	"  --help           show this text and exit\n"
	"  --version        show the version and exit\n"
	"\n"
	"SIGHUP reads the rule again, for new connections. See usher-relay(8).\n";

static int print(const char *text)
{
	return fputs(text, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Return: -1 to continue, or an exit status. */
static int check_options(int argc, char **argv, struct options *options)
{
	if (optind + 1 != argc) {
		fputs("usher-relay: give one NAME; see usher-relay --help\n", stderr);
		return STATUS_INVALID_ARGUMENT;
	}
	options->name = argv[optind];
	if (name_is_valid(options->name))
		return -1;
	fprintf(stderr, "usher-relay: '%s' is not a name: " NAME_RULE "\n", options->name);
	return STATUS_INVALID_ARGUMENT;
}

static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {
		{"drain", required_argument, NULL, 'd'},
		{"instance", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		switch (option) {
		case 'd':
			if (!text_to_uint(optarg, DRAIN_MAX_SECONDS, &ret->drain_seconds))
				break;
			fprintf(stderr,
				"usher-relay: --drain=%s is not a number of seconds; write 0 to %lu\n",
				optarg, DRAIN_MAX_SECONDS);
			return STATUS_INVALID_ARGUMENT;
		case 'i':
			ret->instance = optarg;
			break;
		case 'h':
			return print(help);
		case 'v':
			return print("usher-relay " USHER_VERSION "\n");
		default:
			return STATUS_INVALID_ARGUMENT;
		}
	return check_options(argc, argv, ret);
}

/* ---- signals */

struct signals {
	struct loop_source source;
	struct relay *relay;
	int fd;
};

static void handle_signal(struct loop_source *source, uint32_t events)
{
	struct signals *signals = (struct signals *)source;
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP) {
		(void)sd_notify(0, "STOPPING=1");
		relay_drain(signals->relay);
		return;
	}
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_usec());
	relay_reload(signals->relay);
	(void)sd_notify(0, "READY=1");
}

static int watch_signals(struct signals *signals, struct relay *relay)
{
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	*signals = (struct signals){{handle_signal}, relay, -1};
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	signals->fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	return signals->fd < 0 ? -errno : loop_add(relay->loop, signals->fd, EPOLLIN, &signals->source);
}

/* ---- the watchdog */

struct watchdog {
	struct loop_timer timer;
	struct loop *loop;
	uint64_t interval_ms;
};

static void notify_watchdog(struct loop_timer *timer)
{
	struct watchdog *watchdog = (struct watchdog *)timer;

	(void)sd_notify(0, "WATCHDOG=1");
	loop_set(watchdog->loop, timer, watchdog->loop->now_ms + watchdog->interval_ms);
}

/* Twice as often as the service manager wants it */
static void watch_loop(struct watchdog *watchdog, struct loop *loop)
{
	uint64_t usec = 0;

	*watchdog = (struct watchdog){{.elapse = notify_watchdog}, loop, 0};
	if (sd_watchdog_enabled(true, &usec) <= 0)
		return;
	watchdog->interval_ms = usec / 2000;
	loop_set(loop, &watchdog->timer, loop->now_ms + watchdog->interval_ms);
}

/* ---- the sockets that the service manager passes */

static int refuse_sockets(struct refusal *refusal, const char *name)
{
	return refuse(refusal, EBADF,
		"no listening socket was passed (EBADF); start it by a socket unit with ListenStream=, FileDescriptorName=%s and Service=usher-relay@%s.service",
		name, name);
}

/* Return: 0, REFUSED, or a negative errno */
static int take_sockets(const char *name, int **ret, size_t *ret_n, struct refusal *refusal)
{
	int n = sd_listen_fds(true);

	if (n < 0)
		return n;
	if (!n)
		return refuse_sockets(refusal, name);
	*ret = calloc((size_t)n, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 &&
			sd_is_socket_inet(fd, AF_UNSPEC, SOCK_DGRAM, -1, 0) <= 0)
			return refuse(refusal, ESOCKTNOSUPPORT,
				"socket %d of those that were passed neither listens nor takes datagrams (ESOCKTNOSUPPORT); write ListenStream= or ListenDatagram= in the socket unit of '%s'",
				i + 1, name);
		if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
			return -errno;
		(*ret)[i] = fd;
	}
	*ret_n = (size_t)n;
	return 0;
}

/* ---- the program */

static int complain_start(const char *name, int r, struct refusal *refusal)
{
	if (r < 0)
		(void)refuse(refusal, -r, "%s (%s)", errno_text(-r), errno_name(-r));
	observe(OBSERVE_NOT_STARTED, &(struct observed){.name = name, .error = refusal->error},
		"cannot start: %s", refusal->text);
	return r < 0 ? EX_OSERR : EX_CONFIG;
}

/* What cannot be shown is counted all the same. */
static int open_tally(const char *name, struct tally **ret)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	int r = tally_open(folder, ret);

	if (r >= 0 || !folder)
		return r;
	observe(OBSERVE_FAULT, &(struct observed){.name = name, .error = -r},
		"cannot write to %s (%s), so that usherctl shows no connections; see RuntimeDirectory= of the unit",
		folder, errno_name(-r));
	return tally_open(NULL, ret);
}

static int run(const struct options *options, const struct instance *instance)
{
	_cleanup_(relay_deinit) struct relay relay = {
		.directories = instance->rule_dirs,
		.drain_ms = (unsigned)options->drain_seconds * 1000,
		.home.name = options->name,
	};
	_cleanup_free_ int *fds = NULL;
	struct watchdog watchdog;
	struct signals signals;
	struct refusal refusal;
	struct loop loop;
	size_t n_fds = 0;
	int r;

	r = take_sockets(options->name, &fds, &n_fds, &refusal);
	if (r)
		return complain_start(options->name, r, &refusal);
	r = loop_init(&loop);
	if (r < 0)
		return complain_start(options->name, r, &refusal);
	relay.loop = &loop;
	r = open_tally(options->name, &relay.home.tally);
	if (!r)
		r = watch_signals(&signals, &relay);
	if (!r)
		r = relay_start_consume(&relay, fds, n_fds);
	if (r < 0)
		return complain_start(options->name, r, &refusal);
	watch_loop(&watchdog, &loop);
	(void)sd_notify(0, "READY=1");
	r = loop_run(&loop);
	if (r >= 0)
		return EXIT_SUCCESS;
	observe(OBSERVE_FAILED, &(struct observed){.name = options->name, .error = -r},
		"the event loop failed (%s)", errno_name(-r));
	return EX_OSERR;
}

int main(int argc, char **argv)
{
	struct options options = {.drain_seconds = DRAIN_DEFAULT_SECONDS};
	struct instance instance;
	int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (instance_init(&instance, options.instance) < 0) {
		fprintf(stderr,
			"usher-relay: '%s' is not the name of an instance; use up to 31 characters of A-Z a-z 0-9 . _ @ -\n",
			options.instance);
		return STATUS_INVALID_ARGUMENT;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	observe_as("usher-relay");
	descriptors_raise_limit();
	return run(&options, &instance);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "scanner_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "../scan/deliver.h"
#include "../util/capability.h"
#include "../util/clock.h"
#include "look.h"
#include "scanner_record.h"

#define BROKER_TIMEOUT_MS 5000
#define NUDGE_USEC 10000
#define LATE_PAUSE_SEC 30U

static const uint64_t capabilities =
	1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_BPF | 1ULL << CAP_PERFMON;

/* ---- becoming a process of its own */

static void on_nudge(int number)
{
	(void)number;
}

static void receive_signals(void)
{
	const struct sigaction nudge = {.sa_handler = on_nudge, .sa_flags = SA_RESTART};
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigaction(SIGALRM, &nudge, NULL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * A scan may get the last reference of a stranger's connection that lingers, and close(2), or the return from any other
 * system call, then waits for as long as the stranger likes. A signal ends that wait.
 */
static void nudge_every(suseconds_t interval)
{
	const struct itimerval timer = {.it_interval.tv_usec = interval, .it_value.tv_usec = interval};

	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* Descriptors of usher-discover that stayed open here would keep its hooks attached and its connections alive. */
static int keep_socket(const struct scanner_process *process)
{
	int socket = process->socket;

	if (socket != process->first_fd) {
		socket = dup3(socket, process->first_fd, O_CLOEXEC);
		if (socket < 0)
			_exit(EXIT_FAILURE);
	}
	if (syscall(SYS_close_range, (unsigned)socket + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	return socket;
}

/* ---- scanning */

static void send_record(int socket, const struct scanner_record *record)
{
	ssize_t n;

	do
		n = send(socket, record, sizeof(*record), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		_exit(EXIT_FAILURE);
}

static void send_complaint(const struct complaint *complaint, void *userdata)
{
	const struct scanner_record record = {.kind = SCANNER_COMPLAINT, .complaint = *complaint};

	send_record(*(const int *)userdata, &record);
}

static void send_failure(const char *reason, void *userdata)
{
	struct scanner_record record = {.kind = SCANNER_FAILURE};

	(void)snprintf(record.complaint.text, sizeof(record.complaint.text), "%s", reason);
	send_record(*(const int *)userdata, &record);
}

static pid_t read_broker(const char *socket)
{
	_cleanup_(client_close) struct client client = CLIENT_NULL;
	struct refusal refusal;
	pid_t pid = 0;

	if (client_open(&client, socket, BROKER_TIMEOUT_MS, &refusal) == 0)
		(void)deliver_read_broker(&client, &pid, &refusal);
	return pid;
}

/* Return: whether it is of use to go on. */
static bool look_for(const struct looker *looker, const struct scan *scan, const struct agenda *agenda,
	struct scanner_record *end)
{
	struct look_outcome outcome;

	look_once(looker, scan, agenda, &outcome);
	end->is_new |= outcome.is_new;
	end->is_moving |= outcome.is_moving;
	end->is_unfinished |= outcome.is_unfinished;
	return !outcome.is_unfinished;
}

/* @scan: complete but for what is looked for */
static void look_at_agenda(const struct looker *looker, const struct scan *scan, const struct agenda *agenda,
	struct scanner_record *end)
{
	struct scan part = *scan;
	bool go_on = true;

	if (agenda->all) {
		(void)look_for(looker, &part, agenda, end);
		return;
	}
	if (agenda->name[0]) {
		part.name = agenda->name;
		go_on = look_for(looker, &part, agenda, end);
	}
	part = *scan;
	for (size_t i = 0; i < agenda->n_ports && go_on; i++) {
		part.protocol = agenda->ports[i].protocol;
		part.port = agenda->ports[i].port;
		part.pid = agenda->ports[i].pid;
		go_on = look_for(looker, &part, agenda, end);
	}
}

/* While a name service does not answer, it is not asked at each scan. */
static void look_up(struct access_table *access, uint64_t *not_before)
{
	uint64_t now = clock_monotonic_usec();

	if (now >= *not_before && access_table_look_up(access) == ACCESS_LATE)
		*not_before = now + LATE_PAUSE_SEC * CLOCK_USEC_PER_SEC;
}

static void serve(const struct scanner_process *process, int socket)
{
	uint64_t not_before = 0;
	const struct looker looker = {.socket = process->broker,
		.complain = send_complaint,
		.fail = send_failure,
		.userdata = &socket};
	struct scanner_request request;
	struct scan scan = {
		.rules = process->set->rules,
		.access = process->set->access,
		.netns_cookie = process->netns_cookie,
	};

	for (;;) {
		struct scanner_record end = {.kind = SCANNER_END};
		ssize_t size = recv(socket, &request, sizeof(request), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size != sizeof(request))
			return;
		if (!scan.broker)
			scan.broker = read_broker(process->broker);
		scan.kin = request.kin;
		scan.n_kin = request.n_kin;
		look_up(process->set->access, &not_before);
		nudge_every(NUDGE_USEC);
		look_at_agenda(&looker, &scan, &request.agenda, &end);
		nudge_every(0);
		send_record(socket, &end);
	}
}

void scanner_process_run(const struct scanner_process *process)
{
	int socket = keep_socket(process);

	(void)prctl(PR_SET_NAME, "usher-scanner");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != process->parent)
		_exit(EXIT_FAILURE);
	/* where capset(2) is forbidden, it keeps what usher-discover has */
	(void)capability_keep(capabilities);
	receive_signals();
	serve(process, socket);
	_exit(EXIT_SUCCESS);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * usage: scan FOLDER [KEY=VALUE]...    scan_run() with the rules of the folder
 *
 * Keys are those of struct scan: name, protocol (number), port, broker, pid, netns (cookie); times=N scans that
 * often, and waits=1 for a line on standard input before each. A line for each candidate, words separated by tabs,
 * and one that ends the scan:
 *   +|- NAME PROTOCOL FAMILY ENDPOINT COOKIE PID UID UNIT ERRNO TEXT
 *   = RESULT LEFT-OUT MICROSECONDS CPU-MICROSECONDS PEAK-KIB DESCRIPTORS TEXT
 */
#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "rule/files.h"
#include "scan/scan.h"
#include "util/netns.h"

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	(void)clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* Not getrusage(2), which includes the process before execve(2) */
static unsigned long peak(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long size = 0;
	char line[256];

	assert(status);
	while (fgets(line, sizeof(line), status) && sscanf(line, "VmHWM: %lu", &size) != 1)
		continue;
	(void)fclose(status);
	return size;
}

static unsigned count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	assert(folder);
	while (readdir(folder))
		n++;
	(void)closedir(folder);
	return n;
}

/* Check what only this process can: the duplicate is the socket, and there is a pidfd of its owner. */
static void check(const struct scan_candidate *candidate)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie;

	assert(candidate->accepted == (candidate->fd >= 0));
	assert(candidate->accepted == (candidate->owner.pidfd >= 0));
	if (!candidate->accepted) {
		assert(candidate->refusal.error > 0 && *candidate->refusal.text);
		return;
	}
	assert(getsockopt(candidate->fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
	assert(cookie == candidate->socket.cookie);
}

static void show(const struct scan_candidate *candidate)
{
	char endpoint[ENDPOINT_TEXT_MAX];
	const uint8_t *address;
	int family = diag_address(&candidate->socket, &address);
	bool accepted = candidate->accepted;

	printf("%c\t%s\t%u\t%u\t%s\t%" PRIx64 "\t%d\t%u\t%s\t%d\t%s\n", accepted ? '+' : '-',
		candidate->rule->name, candidate->socket.protocol, candidate->socket.family,
		endpoint_format(family, address, candidate->socket.port, endpoint), candidate->socket.cookie,
		candidate->owner.pid, candidate->owner.uid, candidate->owner.unit ?: "",
		accepted ? 0 : candidate->refusal.error, accepted ? "" : candidate->refusal.text);
}

static void run(const struct scan *scan)
{
	struct refusal refusal = {.error = 0};
	struct scan_candidates candidates = {.n = 0};
	uint64_t before = now(CLOCK_MONOTONIC), before_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	int r = scan_run(scan, &candidates, &refusal);
	uint64_t after = now(CLOCK_MONOTONIC), after_cpu = now(CLOCK_PROCESS_CPUTIME_ID);

	for (size_t i = 0; i < candidates.n; i++) {
		check(&candidates.items[i]);
		show(&candidates.items[i]);
	}
	printf("=\t%d\t%zu\t%" PRIu64 "\t%" PRIu64, r, candidates.n_left_out, after - before,
		after_cpu - before_cpu);
	scan_candidates_deinit(&candidates);
	printf("\t%lu\t%u\t%s\n", peak(), count_descriptors(), refusal.text);
	(void)fflush(stdout);
}

static void set(struct scan *scan, const char *word, unsigned *times, bool *waits)
{
	const char *value = strchr(word, '=');
	size_t length = value ? (size_t)(value - word) : 0;

	assert(value);
	value++;
	if (!strncmp(word, "name", length))
		scan->name = value;
	else if (!strncmp(word, "protocol", length))
		scan->protocol = (uint8_t)atoi(value);
	else if (!strncmp(word, "port", length))
		scan->port = (uint16_t)atoi(value);
	else if (!strncmp(word, "broker", length))
		scan->broker = atoi(value);
	else if (!strncmp(word, "pid", length))
		scan->pid = atoi(value);
	else if (!strncmp(word, "netns", length))
		scan->netns_cookie = strtoull(value, NULL, 0);
	else if (!strncmp(word, "times", length))
		*times = (unsigned)atoi(value);
	else if (!strncmp(word, "waits", length))
		*waits = atoi(value);
	else
		assert(!"a key");
}

int main(int argc, char **argv)
{
	const char *folders[] = {argv[1], NULL};
	struct problems problems = {.n = 0};
	struct access_table *access;
	struct refusal refusal;
	struct rule_set *rules;
	struct scan scan = {.name = NULL};
	unsigned times = 1;
	bool waits = false;
	char line[16];

	assert(argc > 1);
	assert(!netns_read_cookie(&scan.netns_cookie, &refusal));
	for (int i = 2; i < argc; i++)
		set(&scan, argv[i], &times, &waits);
	assert(!files_load(folders, &rules, &problems));
	assert(!access_table_new(rules, NULL, &access));
	assert(access_table_look_up(access) >= 0);
	scan.rules = rules;
	scan.access = access;
	for (unsigned i = 0; i < times && (!waits || fgets(line, sizeof(line), stdin)); i++)
		run(&scan);
	access_table_free(access);
	rule_set_free(rules);
	return 0;
}

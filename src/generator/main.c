/* SPDX-License-Identifier: BSD-3-Clause */

/* usher-generator(8): options, messages, exit status */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util/errno_name.h"
#include "../util/macro.h"
#include "named.h"
#include "output.h"

/* From systemd.exec(5), as in usherd */
enum { STATUS_INVALID_ARGUMENT = 2 };

struct options {
	const char *root, *folder;
};

static const char help[] =
	"Usage: usher-generator [OPTION]... NORMAL-DIR [EARLY-DIR LATE-DIR]\n"
	"Write units for systemd into NORMAL-DIR, so that the sockets of the socket units\n"
	"that rules name with Sockets= are handed in.\n"
	"\n"
	"  --root=DIR  read the rule files below DIR\n"
	"  --help      show this text and exit\n"
	"  --version   show the version, and exit\n"
	"\n"
	"systemd runs it at boot and at 'systemctl daemon-reload'. See\n"
	"usher-generator(8).\n";

static bool is_run_by_systemd(void)
{
	return getenv("SYSTEMD_SCOPE"); /* since systemd 251 */
}

/* When systemd reads its units, nobody else takes messages yet: systemd.generator(7) demands the kernel's log. */
static void complain(const char *text)
{
	_cleanup_close_ int fd =
		is_run_by_systemd() ? open("/dev/kmsg", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY) : -1;
	int to = fd >= 0 ? fd : STDERR_FILENO;

	if (fd >= 0)
		dprintf(to, "<4>usher-generator[%d]: %s\n", (int)getpid(), text);
	else
		dprintf(to, "usher-generator: %s\n", text);
}

/* Return: -1 to continue, or an exit status. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option long_options[] = {
		{"root", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		switch (option) {
		case 'r':
			ret->root = strcmp(optarg, "/") ? optarg : "";
			break;
		case 'h':
			return fputs(help, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'v':
			return printf("usher-generator %s\n", USHER_VERSION) < 0 || fflush(stdout)
				       ? EXIT_FAILURE
				       : EXIT_SUCCESS;
		default:
			return STATUS_INVALID_ARGUMENT;
		}
	if (argc - optind != 1 && argc - optind != 3) {
		fprintf(stderr, "usher-generator: give one folder or three; see usher-generator --help\n");
		return STATUS_INVALID_ARGUMENT;
	}
	ret->folder = argv[optind];
	return -1;
}

/* In the initrd, and for users, there are no rules. */
static bool has_nothing_to_do(void)
{
	const char *scope = getenv("SYSTEMD_SCOPE"), *initrd = getenv("SYSTEMD_IN_INITRD");

	return (scope && strcmp(scope, "system") != 0) || (initrd && strcmp(initrd, "1") == 0);
}

static void complain_problems(const struct problems *problems)
{
	char text[900]; /* a line of /dev/kmsg has less than 1024 bytes */

	for (size_t i = 0; i < problems->n; i++)
		complain(problem_format(&problems->items[i], text, sizeof(text)));
	if (problems->n)
		complain(
			"the rule files with errors start no usher@; correct them and run 'systemctl daemon-reload'");
}

int main(int argc, char **argv)
{
	_cleanup_(problems_deinit) struct problems problems = PROBLEMS_NULL;
	_cleanup_(named_deinit) struct named named = NAMED_NULL;
	struct options options = {.root = ""};
	char path[4096], text[4096 + 256];
	int r = parse_options(argc, argv, &options);

	if (r >= 0)
		return r;
	if (has_nothing_to_do())
		return EXIT_SUCCESS;
	path[0] = '\0';
	r = named_find(options.root, &named, &problems);
	complain_problems(&problems);
	if (!r)
		r = output_write(options.folder, &named, path);
	if (!r)
		return EXIT_SUCCESS;
	(void)snprintf(text, sizeof(text),
		"cannot write %s: %s (%s); the sockets of units in the rules are not handed in",
		*path ? path : options.folder, errno_text(-r), errno_name(-r));
	complain(text);
	return EXIT_FAILURE;
}

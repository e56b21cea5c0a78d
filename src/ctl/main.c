/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bpf/usher-bpf.h"
#include "../util/errno_name.h"
#include "../util/macro.h"
#include "../wire/protocol.h"
#include "complain.h"
#include "ctl.h"
#include "help.h"
#include "options.h"
#include "verbs.h"

static int print_version(void)
{
	(void)printf("usherctl " USHER_VERSION ", protocol %u, schema %u\n", PROTOCOL_VERSION, USHER_SCHEMA);
	return EXIT_SUCCESS;
}

/*
 * Nothing that usherctl opens may become standard input, output or error. The descriptors opened here in their place
 * fail reads and writes with EBADF, as the closed ones would, and a COMMAND finds them closed again.
 */
static void reserve_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
}

/* Output that did not arrive is a failure. If the reader closed the pipe, it fails without a message. */
static int finish_output(int code)
{
	int error = fflush(stdout) == 0 ? 0 : errno;

	if (!error && !ferror(stdout))
		return code;
	if (!error)
		error = EIO; /* an earlier write failed and its errno is gone */
	if (error != EPIPE)
		complain("cannot write to standard output: %s (%s)", errno_text(error), errno_name(error));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	_cleanup_(options_deinit) struct ctl ctl = {};
	const struct verb *verb = NULL;
	int r;

	reserve_standard_fds();
	/* not LC_NUMERIC: the decimal separator is a point in every locale */
	(void)setlocale(LC_CTYPE, "");
	r = options_parse(argc, argv, &ctl, &verb);
	switch (r) {
	case 0:
		return finish_output(verb->function(&ctl));
	case OPTIONS_HELP:
		return finish_output(help_print(verb));
	case OPTIONS_VERSION:
		return finish_output(print_version());
	case OPTIONS_USAGE:
		return EXIT_USAGE;
	default:
		return complain_memory();
	}
}

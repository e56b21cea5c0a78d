/* SPDX-License-Identifier: BSD-3-Clause */
#include "listening.h"

#include <stdlib.h>

static int compare_cookies(const void *a, const void *b)
{
	const struct diag_socket *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

void listening_deinit(struct listening *listening)
{
	free(listening->sockets);
}

int listening_read(struct listening *ret, struct refusal *refusal)
{
	int r = diag_dump(0, NULL, 0, &ret->sockets, &ret->n, refusal);

	if (!r && ret->n)
		qsort(ret->sockets, ret->n, sizeof(*ret->sockets), compare_cookies);
	return r;
}

const struct diag_socket *listening_find(const struct listening *listening, const char *cookie)
{
	const struct diag_socket key = {.cookie = strtoull(cookie, NULL, 16)};

	return listening->n ? bsearch(&key, listening->sockets, listening->n, sizeof(key), compare_cookies)
			    : NULL;
}

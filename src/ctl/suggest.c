/* SPDX-License-Identifier: BSD-3-Clause */
#include "suggest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 32

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The number of letters to leave out, add, replace, or swap with the next one (optimal string alignment) */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= n_b; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] =
				least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[n_b];
}

/* Return: how far the candidate is, or more than any distance when it is too far to be meant */
static size_t distance_if_near(const char *word, const char *candidate)
{
	size_t n_word = strlen(word), n_candidate = strlen(candidate), d;

	if (n_word < 2 || n_word > WORD_MAX || n_candidate > WORD_MAX)
		return (size_t)-1;
	if (!strncmp(candidate, word, n_word))
		return 0;
	d = distance(word, n_word, candidate, n_candidate);
	return d <= 1 + n_candidate / 5 && d < n_candidate / 2 + 1 ? d : (size_t)-1;
}

void suggest(struct suggestion *suggestion, const char *prefix, const char *candidate)
{
	size_t d = distance_if_near(suggestion->word, candidate), n;

	if (d == (size_t)-1 || d > suggestion->distance)
		return;
	if (d < suggestion->distance)
		suggestion->text[0] = '\0';
	suggestion->distance = d;
	n = strlen(suggestion->text);
	(void)snprintf(suggestion->text + n, sizeof(suggestion->text) - n, "%s'%s%s'", n ? " or " : "",
		prefix, candidate);
}

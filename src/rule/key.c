/* SPDX-License-Identifier: BSD-3-Clause */
#include "key.h"

#include <errno.h>
#include <string.h>

#include "../util/array.h"
#include "../util/name.h"
#include "../util/text.h"
#include "match.h"

#define ACCESS_NAME_MAX 255U
#define SOCKET_UNIT_MAX                                                                                      \
	248U /* "usher@web.service" has 7 more than "web.socket", and a unit has at most 255 */
#define EXECUTABLE_MAX 1023U /* so that it fits into a packet of the protocol */

char *key_next_word(char **value)
{
	char *word = *value, *end;

	while (key_is_blank(*word))
		word++;
	for (end = word; *end && !key_is_blank(*end);)
		end++;
	if (end == word)
		return NULL;
	*value = end;
	if (*end)
		*(*value)++ = '\0';
	return word;
}

bool key_assign_once(struct parser *parser, const struct key *key, unsigned *line)
{
	if (*line) {
		parser_complain(
			parser, "%s= was set on line %u already; remove one of them", key->name, *line);
		return false;
	}
	*line = parser->line;
	return true;
}

bool key_parse_time(const char *value, unsigned max, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		unsigned ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 60 * 60 * 1000}};
	size_t digits = strspn(value, "0123456789");
	unsigned long number;
	char text[32];
	int r;

	if (digits >= sizeof(text))
		return false;
	memcpy(text, value, digits);
	text[digits] = '\0';
	r = text_to_uint(text, max, &number);
	for (size_t i = 0; i < ARRAY_SIZE(units) && r != -EINVAL; i++)
		if (!strcmp(value + digits, units[i].name)) {
			*ret_ms = r ? UINT64_MAX : (uint64_t)number * units[i].ms;
			return true;
		}
	return false;
}

static void words_clear(struct rule_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->items[i].text);
	words->n = 0;
}

static void words_add(
	struct parser *parser, struct rule_words *words, const struct key *key, const char *word)
{
	char *text;

	if (words->n == RULE_WORDS_MAX) {
		parser_complain(parser, "%s= has more than %u values", key->name, RULE_WORDS_MAX);
		parser->stop = true;
		return;
	}
	text = strdup(word);
	parser->error = text ? ARRAY_RESERVE(words->items, words->n) : -ENOMEM;
	if (parser->error) {
		free(text);
		return;
	}
	words->items[words->n].text = text;
	words->items[words->n++].line = parser->line;
}

/* @remedy: ends the sentence "WORD cannot be ": what the word is not, and what to write instead */
static void assign_words(struct parser *parser, const struct key *key, char *value,
	bool (*is_valid)(const char *word), const char *remedy)
{
	struct rule_words *words = (struct rule_words *)((char *)&parser->rule + key->words);
	char quoted[TEXT_QUOTE_MAX];

	if (!*value)
		words_clear(words);
	for (char *word = key_next_word(&value); word && !parser->error && !parser->stop;
		word = key_next_word(&value)) {
		if (is_valid(word))
			words_add(parser, words, key, word);
		else
			parser_complain(parser, "%s cannot be %s", text_quote(word, quoted), remedy);
	}
}

/*
 * Whether a word can be a user or a group: a number, or anything that a directory service may use as a name. access/
 * looks it up when the rules are applied.
 */
static bool is_account(const char *word)
{
	unsigned long number;

	if (strspn(word, "0123456789") == strlen(word))
		return text_to_uint(word, UINT32_MAX - 1UL, &number) == 0;
	return strlen(word) <= ACCESS_NAME_MAX && !strpbrk(word, ":/,*?\"'[]=#;!") && !strchr("-+~", word[0]);
}

static bool is_unit(const char *word)
{
	return strlen(word) <= ACCESS_NAME_MAX && !strchr(word, '/');
}

/* A name as systemd allows it. A template has no sockets. The longest one leaves room for the name of its usher@. */
static bool is_socket_unit(const char *word)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
	size_t length = strlen(word);

	return length <= SOCKET_UNIT_MAX && name_is_of_socket_unit(word) && strspn(word, allowed) == length &&
	       word[0] != '@' && !strstr(word, "@.socket");
}

static bool is_executable(const char *word)
{
	return word[0] == '/' && strlen(word) <= EXECUTABLE_MAX;
}

#define ACCOUNT_REMEDY "write a name or a number up to 4294967294, separated by blanks"

void key_assign_users(struct parser *parser, const struct key *key, char *value)
{
	assign_words(parser, key, value, is_account, "a user; " ACCOUNT_REMEDY);
}

void key_assign_groups(struct parser *parser, const struct key *key, char *value)
{
	assign_words(parser, key, value, is_account, "a group; " ACCOUNT_REMEDY);
}

void key_assign_units(struct parser *parser, const struct key *key, char *value)
{
	assign_words(
		parser, key, value, is_unit, "a unit; write a name such as nginx.service or a shell glob");
}

void key_assign_sockets(struct parser *parser, const struct key *key, char *value)
{
	assign_words(parser, key, value, is_socket_unit,
		"a socket unit; write the names of units such as web.socket, without shell globs; addresses belong into Stream=, Datagram= or Socket= of [Discover]");
}

void key_assign_executables(struct parser *parser, const struct key *key, char *value)
{
	assign_words(parser, key, value, is_executable,
		"an executable; write an absolute path such as /usr/sbin/sshd or a shell glob, of up to 1023 bytes");
}

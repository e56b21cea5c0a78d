/* SPDX-License-Identifier: BSD-3-Clause */
#include "foreign_form.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../util/prefix.h"

#define WORD_MAX 128
#define LIST_MAX 320 /* so that the refusal holds it and the word */

/* A word in its parts; brackets are in neither */
struct form {
	char host[WORD_MAX], ports[WORD_MAX]; /* `ports` is "" when there is no colon */
	bool bracketed;
};

static void take_apart(const char *word, struct form *ret)
{
	const char *start = word, *end, *ports = "";

	*ret = (struct form){.bracketed = word[0] == '['};
	start += ret->bracketed;
	end = ret->bracketed ? strchrnul(start, ']') : strrchr(start, ':');
	if (!end)
		end = start + strlen(start);
	if (*end)
		ports = strchrnul(end, ':');
	(void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(end - start), start);
	(void)snprintf(ret->ports, sizeof(ret->ports), "%s", *ports ? ports + 1 : "");
}

/* Append a word to a list; Return: does it fit? */
static bool append(char list[static LIST_MAX], const char *word)
{
	size_t length = strlen(list);

	if (length + strlen(word) + 2 > LIST_MAX)
		return false;
	(void)snprintf(list + length, LIST_MAX - length, "%s%s", length ? " " : "", word);
	return true;
}

/* ---- several ports */

static bool is_ports(const char *text)
{
	return isdigit((unsigned char)*text) && text[strspn(text, "0123456789-")] == '\0';
}

static int refuse_ports(const char *word, struct refusal *refusal)
{
	const char *colon = strrchr(word, ':'), *text = colon ? colon + 1 : word;
	char ports[WORD_MAX], list[LIST_MAX] = "", *rest = ports, *port;
	int host = (int)(text - word);

	(void)snprintf(ports, sizeof(ports), "%s", text);
	while ((port = strsep(&rest, ","))) {
		char match[2 * WORD_MAX];

		(void)snprintf(match, sizeof(match), "%.*s%s", host, word, port);
		if (!is_ports(port) || !append(list, match))
			return 0;
	}
	return refuse(refusal, EINVAL, "'%s': commas do not separate ports; write one word for each: %s",
		word, list);
}

/* ---- a range of addresses */

static bool bit_of(const uint8_t *address, unsigned i)
{
	return address[i / 8] >> (7 - i % 8) & 1;
}

/* Set the bits after the first @length, which gives the last address of a prefix. */
static void fill(const struct prefix *prefix, uint8_t last[static 16])
{
	memcpy(last, prefix->address, 16);
	for (unsigned i = prefix->length; i < address_bits(prefix->family); i++)
		last[i / 8] |= (uint8_t)(0x80U >> i % 8);
}

/* Return: false after the last address of all. */
static bool increment(uint8_t *address, size_t size)
{
	for (size_t i = size; i--;)
		if (++address[i])
			return true;
	return false;
}

/* The prefixes that make the range, as matches; Return: do they fit? */
static bool list_prefixes(
	int family, const uint8_t *first, const uint8_t *end, const char *ports, char list[static LIST_MAX])
{
	struct prefix prefix = {.family = (uint8_t)family};
	size_t size = address_size(family);
	uint8_t last[16];

	memcpy(prefix.address, first, size);
	do {
		char text[PREFIX_TEXT_MAX], match[PREFIX_TEXT_MAX + WORD_MAX];

		prefix.length = (uint8_t)address_bits(family);
		while (prefix.length && !bit_of(prefix.address, prefix.length - 1U)) {
			prefix.length--;
			fill(&prefix, last);
			if (memcmp(last, end, size) > 0) {
				prefix.length++;
				break;
			}
		}
		fill(&prefix, last);
		(void)prefix_format(&prefix, text);
		if (prefix_is_address(&prefix))
			*strchr(text, '/') = '\0';
		(void)snprintf(match, sizeof(match), family == AF_INET ? "%s:%s" : "[%s]:%s", text,
			*ports ? ports : "80");
		if (!append(list, match))
			return false;
		memcpy(prefix.address, last, size);
	} while (memcmp(last, end, size) < 0 && increment(prefix.address, size));
	return true;
}

static int refuse_range(const char *word, const struct form *form, struct refusal *refusal)
{
	char first[WORD_MAX], list[LIST_MAX] = "";
	const char *dash = strchr(form->host, '-');
	int family = strchr(form->host, ':') ? AF_INET6 : AF_INET;
	uint8_t from[16], to[16];

	(void)snprintf(first, sizeof(first), "%.*s", (int)(dash - form->host), form->host);
	if (inet_pton(family, first, from) != 1 || inet_pton(family, dash + 1, to) != 1)
		return 0;
	if (memcmp(from, to, address_size(family)) > 0)
		return refuse(refusal, EINVAL,
			"'%s': the range of addresses is inverted, and rules have prefixes in place of ranges",
			word);
	if (!list_prefixes(family, from, to, form->ports, list))
		return refuse(refusal, EINVAL,
			"'%s': rules have prefixes in place of address ranges, and this range takes too many to list; it begins with %s",
			word, list);
	return refuse(refusal, EINVAL, "'%s': rules have prefixes in place of address ranges; write %s", word,
		list);
}

/* ---- names */

static int refuse_scope(const char *word, const struct form *form, struct refusal *refusal)
{
	const char *scope = strchr(form->host, '%');

	return refuse(refusal, EINVAL,
		"'%s': an address has no scope id (%s) here: it is matched on every interface; write [%.*s]:%s",
		word, scope, (int)(scope - form->host), form->host, *form->ports ? form->ports : "80");
}

/* A letter or '_' at the start, and no colon: neither an address nor a port */
static bool is_name(const struct form *form)
{
	bool hex = form->host[strspn(form->host, "0123456789abcdefABCDEF")] == '\0';

	return isalpha((unsigned char)*form->host) && !strpbrk(form->host, ":/*") && !form->bracketed && !hex;
}

static int refuse_name(const char *word, const struct form *form, struct refusal *refusal)
{
	if (strchr(form->host, '.'))
		return refuse(refusal, EINVAL,
			"'%s': '%s' is not an IP address, and host names are not resolved; write each address that 'getent ahosts %s' prints, as 192.0.2.1:%s",
			word, form->host, form->host, form->ports);
	return refuse(refusal, EINVAL,
		"'%s': '%s' is not an IP address, and host names are not resolved; write each address that 'getent ahosts %s' or, for an interface, 'ip address show dev %s' prints, as 192.0.2.1:%s",
		word, form->host, form->host, form->host, form->ports);
}

int foreign_form_refuse(const char *word, struct refusal *refusal)
{
	struct form form;

	if (strlen(word) >= WORD_MAX)
		return 0;
	take_apart(word, &form);
	if (strchr(form.host, '%') && strchr(form.host, ':'))
		return refuse_scope(word, &form, refusal);
	if (strchr(word, ','))
		return refuse_ports(word, refusal);
	if (*form.ports && strchr(form.host, '-') && strpbrk(form.host, ".:"))
		return is_name(&form) ? refuse_name(word, &form, refusal)
				      : refuse_range(word, &form, refusal);
	return *form.ports && is_name(&form) ? refuse_name(word, &form, refusal) : 0;
}

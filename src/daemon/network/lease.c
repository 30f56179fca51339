/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines of five words: "EXPIRY MAC ADDRESS NAME CLIENT-ID" for IPv4, and after a line "duid ID" of dnsmasq's own
 * "EXPIRY IAID ADDRESS NAME DUID" for IPv6. "*" stands for what is not known.
 */
#include "daemon/network/lease.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS = 5, LINE_MAX_LEN = 1100 };

static bool only(const char *text, const char *chars)
{
	return text[strspn(text, chars)] == 0;
}

/* A name goes into XML-free but line-oriented output of clients: nothing but what host names have. */
static bool name_ok(const char *text)
{
	return only(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
}

static bool copy(char *out, size_t size, const char *text)
{
	if (!strcmp(text, "*"))
		text = "";
	if (strlen(text) >= size)
		return false;
	strcpy(out, text);
	return true;
}

/* The hardware's type stands before the address when it is not Ethernet ("06-..."): no machine of ours. */
static bool parse_who(struct lease *l, const char *word)
{
	if (l->six)
		return only(word, "T0123456789") && copy(l->iaid, sizeof(l->iaid), word);
	return strlen(word) == 17 && only(word, "0123456789abcdefABCDEF:") && copy(l->mac, sizeof(l->mac), word);
}

static bool parse_line(struct lease *l, char *text)
{
	char *word[WORDS], *save = NULL, *end;
	uint8_t bytes[16];
	long long expiry;
	unsigned n = 0;

	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (n == WORDS)
			return false;
		else
			word[n++] = w;
	if (n != WORDS)
		return false;
	memset(l, 0, sizeof(*l));
	errno = 0;
	expiry = strtoll(word[0], &end, 10);
	if (*end || errno || expiry < 0 || !only(word[0], "0123456789"))
		return false;
	l->expiry = expiry;
	l->six = strchr(word[2], ':');
	if (inet_pton(l->six ? AF_INET6 : AF_INET, word[2], bytes) != 1 || !parse_who(l, word[1]))
		return false;
	if (!strcmp(word[3], "*") || !name_ok(word[3]))
		word[3] += strlen(word[3]);
	if (strcmp(word[4], "*") && !only(word[4], "0123456789abcdefABCDEF:"))
		return false;
	return copy(l->address, sizeof(l->address), word[2]) && copy(l->host, sizeof(l->host), word[3]) &&
	       copy(l->client, sizeof(l->client), word[4]);
}

void leases_parse(const char *text, size_t len, int64_t now, void (*f)(void *opaque, const struct lease *l),
		  void *opaque)
{
	const char *end = text + len;
	char one[LINE_MAX_LEN + 1];
	unsigned count = 0;

	while (text < end && count < LEASES_MAX) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = stop ? (size_t)(stop - text) : 0;
		struct lease l;

		if (!stop) /* the last line is not whole yet */
			return;
		if (size > 0 && size <= LINE_MAX_LEN && !memchr(text, 0, size)) {
			memcpy(one, text, size);
			one[size] = 0;
			if (parse_line(&l, one) && (!now || !l.expiry || l.expiry > now)) {
				f(opaque, &l);
				count++;
			}
		}
		text = stop + 1;
	}
}

int leases_read(const char *path, void (*f)(void *opaque, const struct lease *l), void *opaque, struct err *e)
{
	uint8_t *text;
	size_t len;
	int ret = fd_read_file(path, LEASE_FILE_MAX, &text, &len, e);

	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	leases_parse((char *)text, len, (int64_t)time(NULL), f, opaque);
	free(text);
	return 0;
}

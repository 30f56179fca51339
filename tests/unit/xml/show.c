/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads documents and writes them again, or what panal-vmm would be told, or the documents about this host:
 *   show MODE FILE...      one after the other; "-" is standard input
 * MODE: domain, inactive, secure, live, validate, running, args; network, pool, volume, secret, snapshot; capabilities,
 * domaincapabilities, sysinfo (FILE is not read). */
#include "daemon/xml/capsxml.h"
#include "daemon/xml/domdef.h"
#include "daemon/xml/netdef.h"
#include "daemon/xml/pooldef.h"
#include "daemon/xml/smalldef.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *slurp(const char *path, size_t *len)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *text = malloc(XMAP_TEXT_MAX);

	*len = f && text ? fread(text, 1, XMAP_TEXT_MAX, f) : 0;
	if (f && f != stdin)
		fclose(f);
	return text;
}

static const char *tap(void *opaque, const struct domdef_interface *i)
{
	return i->target ? i->target : "tap0";
}

static int show_args(const struct domdef *d, struct err *e)
{
	struct domdef_place place = { .control = "/run/c", .serial = "unix:/run/s", .console = "unix:/run/h",
				      .vsock = "/run/v", .nvram = "/run/n", .tap = tap };
	struct domdef_args args;
	int ret = domdef_vmm_args(&args, d, &place, e);

	for (unsigned n = 0; ret == 0 && n < args.argc; n++)
		printf("%s\n", args.argv[n]);
	for (unsigned n = 0; ret == 0 && n < args.note_count; n++)
		printf("note: %s\n", args.note[n]);
	if (ret == 0)
		domdef_args_free(&args);
	return ret;
}

static int show_domain(char **out, const char *mode, const char *text, size_t len, struct err *e)
{
	struct domdef *d;
	unsigned flags = !strcmp(mode, "live")       ? DOMDEF_PARSE_LIVE
			 : !strcmp(mode, "validate") ? DOMDEF_PARSE_VALIDATE
						     : 0;
	int ret = domdef_parse(&d, text, len, flags, e);

	if (ret == 0 && !strcmp(mode, "args")) {
		ret = show_args(d, e);
		*out = strdup("");
	} else if (ret == 0) {
		if (!strcmp(mode, "running")) { /* as a machine that was started */
			d->id = xnum(1);
			ret = domdef_assign_aliases(d);
		}
		*out = domdef_format(d, !strcmp(mode, "inactive") ? DOMDEF_FORMAT_INACTIVE :
				     !strcmp(mode, "secure") ? DOMDEF_FORMAT_SECURE : 0);
	}
	domdef_free(d);
	return ret;
}

#define SHOW(kind, ...)                                                                  \
	static int show_##kind(char **out, const char *text, size_t len, struct err *e)  \
	{                                                                                \
		struct kind *d;                                                          \
		int ret = kind##_parse(&d, text, len, 0, e);                             \
                                                                                         \
		if (ret == 0)                                                            \
			*out = kind##_format(d __VA_OPT__(, ) __VA_ARGS__);              \
		kind##_free(d);                                                          \
		return ret;                                                              \
	}
SHOW(netdef, 0)
SHOW(pooldef)
SHOW(voldef)
SHOW(secretdef)
SHOW(snapdef)

static int show_host(char **out, const char *mode, struct err *e)
{
	static const uint8_t uuid[16] = { 1 };
	const struct capsxml c = { .uuid = uuid };

	if (!strcmp(mode, "domaincapabilities"))
		return capsxml_domain(out, &c, NULL, NULL, NULL, NULL, e);
	*out = strcmp(mode, "sysinfo") ? capsxml_capabilities(&c) : capsxml_sysinfo(&c);
	return 0;
}

static int show(const char *mode, const char *path)
{
	static const struct {
		const char *mode;
		int (*show)(char **out, const char *text, size_t len, struct err *e);
	} table[] = { { "network", show_netdef }, { "pool", show_pooldef }, { "volume", show_voldef },
		      { "secret", show_secretdef }, { "snapshot", show_snapdef } };
	struct err e = { 0 };
	size_t len = 0;
	char *text = NULL, *out = NULL;
	int (*one)(char **out, const char *text, size_t len, struct err *e) = NULL;
	int ret;

	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (!strcmp(table[n].mode, mode))
			one = table[n].show;
	if (!strcmp(mode, "capabilities") || !strcmp(mode, "domaincapabilities") || !strcmp(mode, "sysinfo"))
		ret = show_host(&out, mode, &e);
	else if (!(text = slurp(path, &len)))
		ret = -1;
	else
		ret = one ? one(&out, text, len, &e) : show_domain(&out, mode, text, len, &e);
	if (ret < 0)
		fprintf(stderr, "%s: error %d: %s\n", path, domdef_fault(ret), e.text);
	else
		fputs(out ? out : "", stdout);
	free(text);
	free(out);
	return ret < 0 || !out;
}

int main(int argc, char **argv)
{
	int bad = argc < 3;

	for (int n = 2; n < argc; n++)
		bad |= show(argv[1], argv[n]);
	return bad;
}

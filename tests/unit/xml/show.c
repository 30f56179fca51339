/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads documents and writes them again, or what panal-vmm would be told:
 *   show domain|inactive|secure|live|args FILE...      one after the other; "-" is standard input */
#include "daemon/xml/domdef.h"

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
				      .vsock = "/run/v", .tap = tap };
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

static int show(const char *mode, const char *path)
{
	struct err e = { 0 };
	struct domdef *d = NULL;
	size_t len;
	char *text = slurp(path, &len);
	bool live = !strcmp(mode, "live");
	int ret = text ? domdef_parse(&d, text, len, live ? DOMDEF_PARSE_LIVE : 0, &e) : -1;

	free(text);
	if (ret == 0 && !strcmp(mode, "args")) {
		ret = show_args(d, &e);
	} else if (ret == 0) {
		text = domdef_format(d, !strcmp(mode, "inactive") ? DOMDEF_FORMAT_INACTIVE :
				     !strcmp(mode, "secure") ? DOMDEF_FORMAT_SECURE : 0);
		fputs(text ? text : "", stdout);
		free(text);
	}
	if (ret < 0)
		fprintf(stderr, "%s: error %d: %s\n", path, domdef_fault(ret), e.text);
	domdef_free(d);
	return ret < 0;
}

int main(int argc, char **argv)
{
	int bad = argc < 3;

	for (int n = 2; n < argc; n++)
		bad |= show(argv[1], argv[n]);
	return bad;
}

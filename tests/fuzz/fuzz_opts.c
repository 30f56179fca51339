/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option texts: sizes, numbers, key lists, and whole command lines of panal-vmm (arguments end at a newline). */
#include "base/opt.h"
#include "vmm/options.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARGS_MAX = 64 };

static const struct opt_desc keys[] = {
	{ .key = "path", .kind = OPT_STRING, .positional = true },
	{ .key = "size", .kind = OPT_SIZE },
	{ .key = "count", .kind = OPT_NUMBER },
	{ .key = "on", .kind = OPT_BOOL },
	{ .key = "forward", .kind = OPT_STRING, .repeat = true },
	{ 0 },
};

static void says_why(int ret, const struct err *e)
{
	if (ret < 0 && (!e->text[0] || e->code != ret))
		__builtin_trap();
}

static void pieces(const char *text)
{
	struct err e = { 0 };
	struct opts o;
	uint64_t v = 0;
	int ret = opts_parse(&o, keys, text, &e);

	says_why(ret, &e);
	if (ret == 0) {
		if (o.count > OPT_MAX || !opts_string(&o, "path", "none"))
			__builtin_trap();
		opts_number(&o, "size", 1);
		opts_bool(&o, "on", false);
		opts_free(&o);
	}
	ret = parse_size(text, &v, &e);
	says_why(ret, &e);
	if (ret == 0 && v > INT64_MAX)
		__builtin_trap();
	says_why(parse_number(text, &v, &e), &e);
}

static void command_line(char *text)
{
	char *argv[ARGS_MAX] = { text }, *save = NULL;
	struct options o;
	struct err e = { 0 };
	int argc = 1, ret;

	for (char *a = strtok_r(text, "\n", &save); a && argc < ARGS_MAX; a = strtok_r(NULL, "\n", &save))
		argv[argc++] = a;
	ret = options_parse(&o, argc, argv, &e);
	says_why(ret, &e);
	if (ret == 0 && (o.cpus < 1 || o.cpus != o.topology.sockets * o.topology.cores * o.topology.threads ||
	                 o.memory < BOARD_MEMORY_MIN || o.memory > BOARD_MEMORY_MAX))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	pieces(text);
	command_line(text);
	free(text);
	return 0;
}

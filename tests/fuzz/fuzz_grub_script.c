/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A grub.cfg, run: parsing, expansion, tests, loops. Commands are counted and given back their own words. */
#include "bootdisk/script.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct script *s;
	unsigned commands;
};

static int command(void *opaque, unsigned argc, char *const argv[], const struct script_block *block)
{
	struct seen *s = opaque;

	if (argc < 1 || argc > SCRIPT_ARGS_MAX || ++s->commands > SCRIPT_STEPS_MAX)
		__builtin_trap();
	if (argc > 1 && script_set(s->s, argv[0], argv[1]) < 0)
		return 1;
	if (block && s->commands < 100)
		return script_run_block(s->s, block, NULL) < 0;
	return argv[0][0] & 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = { 0 };
	char out[64];
	struct err e;

	s.s = script_create(command, &s);
	if (!s.s)
		return 0;
	if (script_run(s.s, (const char *)data, size, &e) < 0 && !e.text[0])
		__builtin_trap();
	script_expand(s.s, "a${x}$y $? b", out, sizeof(out));
	script_destroy(s.s);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of script: what the parser makes and the runner walks. */
#ifndef PANAL_BOOTDISK_SCRIPT_PRIV_H
#define PANAL_BOOTDISK_SCRIPT_PRIV_H

#include "bootdisk/script.h"

/* As it stands in the text, with its quotes and dollars; expanded when the command runs. */
struct script_word {
	struct script_word *next;
	char *text;
};

enum script_kind { SCRIPT_SIMPLE, SCRIPT_IF, SCRIPT_WHILE, SCRIPT_UNTIL, SCRIPT_FOR, SCRIPT_FUNCTION };

struct script_block {
	enum script_kind kind;
	struct script_word *words;      /* SIMPLE; FOR and FUNCTION: the name, then the list */
	struct script_block *condition; /* IF, WHILE, UNTIL */
	struct script_block *body, *otherwise;
	struct script_block *next;
};

/* Memory that goes all at once. */
struct script_chunk {
	struct script_chunk *next;
};
enum { SCRIPT_MEMORY_MAX = 32 << 20 };

struct script_variable {
	struct script_variable *next;
	char *name, *value;
	bool exported;
};

struct script_function {
	struct script_function *next;
	const char *name;
	const struct script_block *body;
};

struct script {
	script_command command;
	void *opaque;
	struct script_chunk *memory;
	size_t used;
	struct script_variable *variables;
	struct script_function *functions;
	unsigned steps, depth;
};

/* Zeroed; NULL: over the limit or out of memory. */
void *script_alloc(struct script *s, size_t size);
/* -EINVAL with the line, -E2BIG. *out may be NULL: no command. */
int script_parse(struct script *s, const char *text, size_t len, struct script_block **out,
		 struct err *e) ATTR_MUST_USE;

#endif

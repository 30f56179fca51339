/* SPDX-License-Identifier: GPL-2.0-or-later */
/* perf: tools/perf/Documentation/jit-interface.txt of Linux. GDB: its manual, chapter "JIT Compilation Interface". */
#include "accel/soft/xlate_sight.h"

#include "base/compiler.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- GDB's side: names and layout are its own ---- */
enum { JIT_NOACTION, JIT_REGISTER, JIT_UNREGISTER };

struct jit_code_entry {
	struct jit_code_entry *next, *prev;
	const void *file;
	uint64_t size;
};

struct jit_descriptor {
	uint32_t version, action;
	struct jit_code_entry *relevant, *first;
};

extern struct jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code(void);

struct jit_descriptor __jit_debug_descriptor = { .version = 1 };

/* GDB has a breakpoint here. */
__attribute__((noinline, used)) void __jit_debug_register_code(void)
{
	asm volatile("" : : : "memory");
}

/* The list is the process's: all machines of the process share it. */
static pthread_mutex_t jit_lock = PTHREAD_MUTEX_INITIALIZER;

static void jit_tell(uint32_t action, struct jit_code_entry *entry)
{
	__jit_debug_descriptor.action = action;
	__jit_debug_descriptor.relevant = entry;
	__jit_debug_register_code();
	__jit_debug_descriptor.action = JIT_NOACTION;
	__jit_debug_descriptor.relevant = NULL;
}

static void jit_link(struct jit_code_entry *entry)
{
	entry->next = __jit_debug_descriptor.first;
	if (entry->next)
		entry->next->prev = entry;
	__jit_debug_descriptor.first = entry;
	jit_tell(JIT_REGISTER, entry);
}

static void jit_unlink(struct jit_code_entry *entry)
{
	if (entry->prev)
		entry->prev->next = entry->next;
	else
		__jit_debug_descriptor.first = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	jit_tell(JIT_UNREGISTER, entry);
}

/* ---- an object file of one symbol ---- */
enum { SECTION_TEXT = 1, SECTION_SYMBOLS, SECTION_STRINGS, SECTIONS, SYMBOLS = 2, STRINGS = 64 };
/* Section names at the front of the strings, then the symbol's. */
static const char section_names[] = "\0.text\0.symtab\0.strtab";
enum { NAME_TEXT = 1, NAME_SYMBOLS = 7, NAME_STRINGS = 15, NAME_SYMBOL = sizeof(section_names) };

struct object {
	Elf64_Ehdr header;
	Elf64_Shdr section[SECTIONS];
	Elf64_Sym symbol[SYMBOLS];
	char strings[STRINGS];
};

struct named {
	struct jit_code_entry entry;
	const void *owner;
	struct named *next;
	struct object object;
};

static void object_fill(struct object *o, const uint8_t *code, size_t size, const char *name)
{
	uint64_t at = (uint64_t)(uintptr_t)code;
	*o = (struct object){
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			    .e_shoff = offsetof(struct object, section), .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = SECTIONS, .e_shstrndx = SECTION_STRINGS },
		.section = {
			[SECTION_TEXT] = { .sh_name = NAME_TEXT, .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
					   .sh_addr = at, .sh_size = size, .sh_addralign = 1 },
			[SECTION_SYMBOLS] = { .sh_name = NAME_SYMBOLS, .sh_type = SHT_SYMTAB,
					      .sh_offset = offsetof(struct object, symbol), .sh_size = sizeof(o->symbol),
					      .sh_link = SECTION_STRINGS, .sh_info = 1, .sh_addralign = 8,
					      .sh_entsize = sizeof(Elf64_Sym) },
			[SECTION_STRINGS] = { .sh_name = NAME_STRINGS, .sh_type = SHT_STRTAB,
					      .sh_offset = offsetof(struct object, strings), .sh_size = STRINGS,
					      .sh_addralign = 1 },
		},
		.symbol = { [1] = { .st_name = NAME_SYMBOL, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				    .st_shndx = SECTION_TEXT, .st_value = at, .st_size = size } },
	};
	memcpy(o->strings, section_names, sizeof(section_names));
	snprintf(o->strings + NAME_SYMBOL, STRINGS - NAME_SYMBOL, "%s", name);
}

/* ---- a machine's names ---- */
struct xlate_sight {
	int map; /* of perf; -1: none; fixed */
	bool gdb;
	struct named *first; /* under jit_lock */
};

int xlate_sight_create(struct xlate_sight **out, bool perf, bool gdb, struct err *e)
{
	char path[64];
	*out = NULL;
	if (!perf && !gdb)
		return 0;
	struct xlate_sight *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for names of translated code");
	s->gdb = gdb;
	s->map = -1;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	if (perf)
		s->map = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (perf && s->map < 0) {
		int why = errno;
		free(s);
		return err_errno(e, why, "cannot make %s, which perf-map=on asks for", path);
	}
	*out = s;
	return 0;
}

static void add_object(struct xlate_sight *s, const void *owner, const uint8_t *code, size_t size, const char *name)
{
	struct named *n = calloc(1, sizeof(*n));
	if (!n)
		return; /* one name less */
	object_fill(&n->object, code, size, name);
	n->owner = owner;
	n->entry.file = &n->object;
	n->entry.size = sizeof(n->object);
	pthread_mutex_lock(&jit_lock);
	n->next = s->first;
	s->first = n;
	jit_link(&n->entry);
	pthread_mutex_unlock(&jit_lock);
}

void xlate_sight_add(struct xlate_sight *s, const void *owner, const uint8_t *code, size_t size, uint64_t rip)
{
	char name[32], line[96];
	snprintf(name, sizeof(name), "guest_%llx", (unsigned long long)rip);
	/* One write a line: the file is open for appending, so those of several threads do not mix. */
	int len = snprintf(line, sizeof(line), "%llx %zx %s\n", (unsigned long long)(uintptr_t)code, size, name);
	if (s->map >= 0)
		(void)!write(s->map, line, (size_t)len); /* a full disk costs names, not the machine */
	if (s->gdb)
		add_object(s, owner, code, size, name);
}

void xlate_sight_drop(struct xlate_sight *s, const void *owner)
{
	if (!s->gdb)
		return;
	pthread_mutex_lock(&jit_lock);
	for (struct named **at = &s->first, *n; (n = *at);) {
		if (owner && n->owner != owner) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		jit_unlink(&n->entry);
		free(n);
	}
	pthread_mutex_unlock(&jit_lock);
}

void xlate_sight_destroy(struct xlate_sight *s)
{
	if (!s)
		return;
	xlate_sight_drop(s, NULL);
	if (s->map >= 0)
		close(s->map);
	free(s);
}

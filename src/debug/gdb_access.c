/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers and memory of the current vCPU. */
#include "debug/gdb_priv.h"

#include "debug/gdb_memory.h"
#include "debug/gdb_target.h"

#include <errno.h>
#include <string.h>

struct vcpu *gdb_vcpu(struct gdb *g)
{
	return g->vm->vcpu[g->current];
}

bool gdb_state_get(struct gdb *g, struct x86_state *s)
{
	return vcpu_get_state(gdb_vcpu(g), s, NULL) == 0;
}

void gdb_cmd_registers_read(struct gdb *g)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	int r = gdb_state_get(g, &s) ? 0 : -EIO;

	g->answer.len = 0;
	for (unsigned n = 0; r == 0 && n < gdb_register_count(); n++) {
		gdb_register_get(&s, n, bytes);
		r = gdb_hex_write(&g->answer, bytes, gdb_register_size(n));
	}
	if (r < 0)
		gdb_say(g, "E05");
	else
		gdb_say_answer(g);
}

void gdb_cmd_registers_write(struct gdb *g, const char *p)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	bool ok = gdb_state_get(g, &s);

	for (unsigned n = 0; ok && n < gdb_register_count(); n++) {
		ok = gdb_hex_read(&p, bytes, gdb_register_size(n));
		if (ok)
			(void)gdb_register_set(&s, n, bytes);
	}
	gdb_say(g, ok && vcpu_set_state(gdb_vcpu(g), &s, NULL) == 0 ? "OK" : "E22");
}

void gdb_cmd_register(struct gdb *g, const char *p, bool write)
{
	struct x86_state s;
	uint8_t bytes[GDB_REGISTER_MAX];
	uint64_t n;
	bool ok = gdb_hex_number(&p, &n) && n < gdb_register_count() && gdb_state_get(g, &s);

	if (ok && write) {
		ok = *p++ == '=' && gdb_hex_read(&p, bytes, gdb_register_size((unsigned)n)) &&
		     gdb_register_set(&s, (unsigned)n, bytes) && vcpu_set_state(gdb_vcpu(g), &s, NULL) == 0;
		gdb_say(g, ok ? "OK" : "E22");
		return;
	}
	g->answer.len = 0;
	if (ok) {
		gdb_register_get(&s, (unsigned)n, bytes);
		ok = gdb_hex_write(&g->answer, bytes, gdb_register_size((unsigned)n)) == 0;
	}
	if (ok)
		gdb_say_answer(g);
	else
		gdb_say(g, "E22");
}

void gdb_cmd_memory_read(struct gdb *g, const char *p)
{
	uint8_t bytes[GDB_PACKET_MAX / 2];
	struct x86_state s;
	uint64_t addr, len;
	size_t got = 0;

	g->answer.len = 0;
	if (gdb_range_read(&p, &addr, &len) && gdb_state_get(g, &s))
		got = gdb_memory_read(g->vm->mem, g->physical ? NULL : &s, addr, bytes, len < sizeof(bytes)
			? len : sizeof(bytes));
	if (got && gdb_hex_write(&g->answer, bytes, got) == 0)
		gdb_say_answer(g);
	else
		gdb_say(g, "E14");
}

/* M: digits; X: bytes. */
void gdb_cmd_memory_write(struct gdb *g, const char *p, const char *end, bool binary)
{
	uint8_t bytes[GDB_PACKET_MAX];
	struct x86_state s;
	uint64_t addr, len;
	bool ok = gdb_range_read(&p, &addr, &len) && *p++ == ':' && len <= (uint64_t)(end - p) && gdb_state_get(g, &s);

	if (ok && binary)
		memcpy(bytes, p, len);
	else if (ok)
		ok = gdb_hex_read(&p, bytes, len);
	ok = ok && gdb_memory_write(g->vm->mem, g->physical ? NULL : &s, addr, bytes, len) == len;
	gdb_say(g, ok ? "OK" : "E14");
}

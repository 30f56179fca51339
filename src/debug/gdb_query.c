/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the debugger asks of the server itself: features, threads, the target's description, monitor commands. */
#include "debug/gdb_priv.h"

#include "debug/gdb_target.h"

#include <stdio.h>
#include <string.h>

static void monitor_registers(struct gdb *g)
{
	static const char *const shown[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
		"r9", "r10", "r11",
		"r12", "r13", "r14", "r15", "rip", "eflags", "cs", "ss", "fs_base", "gs_base", "k_gs_base",
			"cr0", "cr2", "cr3",
		"cr4", "efer" };
	struct x86_state s;
	struct buf text;

	buf_init(&text, 4096);
	for (unsigned n = 0; gdb_state_get(g, &s) && n < gdb_register_count(); n++) {
		uint8_t bytes[GDB_REGISTER_MAX] = { 0 };
		uint64_t value;

		for (unsigned k = 0; k < COUNT_OF(shown); k++) {
			if (strcmp(shown[k], gdb_register_name(n)))
				continue;
			gdb_register_get(&s, n, bytes);
			memcpy(&value, bytes, 8);
			(void)!buf_printf(&text, "%-9s %016llx\n", shown[k], (unsigned long long)value);
		}
	}
	if (buf_append_byte(&text, 0) == 0)
		gdb_say_hex(g, "O", (const char *)text.data);
	buf_free(&text);
}

static void cmd_monitor(struct gdb *g, const char *p)
{
	char text[64] = "";
	size_t len = strlen(p) / 2;
	struct err e = { 0 };

	if (len < sizeof(text))
		(void)gdb_hex_read(&p, text, len);
	if (!strcmp(text, "info registers")) {
		monitor_registers(g);
	} else if (!strcmp(text, "reset")) {
		if (vm_reset(g->vm, VM_REQUEST_HOST_RESET, &e) < 0)
			gdb_say_hex(g, "O", e.text);
	} else {
		gdb_say_hex(g, "O", "help            this list\ninfo registers  of the current vCPU\n"
				"reset           restart the machine, which stays stopped\n"
				"Physical memory: maintenance packet Qqemu.PhyMemMode:1 (0: linear again)\n");
	}
	gdb_say(g, "OK");
}

static void cmd_xfer(struct gdb *g, const char *p)
{
	uint64_t at, len;

	if (strncmp(p, "target.xml:", 11) || (p += 11, !gdb_range_read(&p, &at, &len))) {
		gdb_say(g, "E00");
		return;
	}
	if (at > g->xml.len)
		at = g->xml.len;
	if (len > g->xml.len - at)
		len = g->xml.len - at;
	if (len > GDB_PACKET_MAX / 2)
		len = GDB_PACKET_MAX / 2;
	g->answer.len = 0;
	if (buf_append_byte(&g->answer, at + len < g->xml.len ? 'm' : 'l') == 0 &&
	    (!len || buf_append(&g->answer, g->xml.data + at, len) == 0))
		gdb_say_answer(g);
}

static void cmd_threads(struct gdb *g)
{
	int r = 0;

	g->answer.len = 0;
	for (unsigned n = 0; r == 0 && n < g->vm->vcpu_count; n++)
		r = buf_printf(&g->answer, "%c%x", n ? ',' : 'm', n + 1);
	if (r == 0)
		gdb_say_answer(g);
}

void gdb_cmd_query(struct gdb *g, const char *p)
{
	char text[32];
	unsigned n;

	if (gdb_starts(&p, "qSupported")) {
		gdb_say(g, "PacketSize=4000;qXfer:features:read+;vContSupported+;QStartNoAckMode+;swbreak+;hwbreak+");
	} else if (gdb_starts(&p, "qXfer:features:read:")) {
		cmd_xfer(g, p);
	} else if (gdb_starts(&p, "qRcmd,")) {
		cmd_monitor(g, p);
	} else if (gdb_starts(&p, "qfThreadInfo")) {
		cmd_threads(g);
	} else if (gdb_starts(&p, "qsThreadInfo")) {
		gdb_say(g, "l");
	} else if (gdb_starts(&p, "qThreadExtraInfo,")) {
		if (gdb_thread_read(g, &p, &n) && n < g->vm->vcpu_count) {
			snprintf(text, sizeof(text), "vCPU %u", n);
			gdb_say_hex(g, "", text);
		} else {
			gdb_say(g, "E22");
		}
	} else if (!strcmp(p, "qC")) {
		snprintf(text, sizeof(text), "QC%x", g->current + 1);
		gdb_say(g, text);
	} else if (gdb_starts(&p, "qAttached")) {
		gdb_say(g, "1");
	} else if (gdb_starts(&p, "Qqemu.PhyMemMode:")) {
		g->physical = *p == '1';
		gdb_say(g, "OK");
	} else if (gdb_starts(&p, "qqemu.PhyMemMode")) {
		gdb_say(g, g->physical ? "1" : "0");
	} else if (gdb_starts(&p, "QStartNoAckMode")) {
		g->no_ack_next = true;
		gdb_say(g, "OK");
	} else {
		gdb_say(g, "");
	}
}

void gdb_cmd_thread(struct gdb *g, const char *p, bool select)
{
	unsigned n;

	if (select)
		p++; /* g and c: one current thread serves both */
	if (!gdb_thread_read(g, &p, &n)) {
		gdb_say(g, "E22");
		return;
	}
	if (select && n < g->vm->vcpu_count)
		g->current = n;
	gdb_say(g, "OK");
}

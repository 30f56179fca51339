/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server's life, and which packet goes where. */
#include "debug/gdb.h"

#include "core/accel.h"
#include "debug/gdb_priv.h"
#include "debug/gdb_target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 1 << 20 };

static void cmd_v(struct gdb *g, const char *p)
{
	if (!strcmp(p, "vCont?"))
		gdb_say(g, "vCont;c;C;s;S");
	else if (gdb_starts(&p, "vCont"))
		gdb_cmd_vcont(g, p);
	else if (gdb_starts(&p, "vKill")) {
		gdb_say(g, "OK");
		vm_end(g->vm, VM_REQUEST_POWEROFF);
	} else
		gdb_say(g, "");
}

void gdb_packet(struct gdb *g, const char *p, size_t len)
{
	switch (*p) {
	case '?': gdb_tell_stop(g, GDB_SIG_TRAP, NULL); break;
	case 'g': gdb_cmd_registers_read(g); break;
	case 'G': gdb_cmd_registers_write(g, p + 1); break;
	case 'p': gdb_cmd_register(g, p + 1, false); break;
	case 'P': gdb_cmd_register(g, p + 1, true); break;
	case 'm': gdb_cmd_memory_read(g, p + 1); break;
	case 'M': gdb_cmd_memory_write(g, p + 1, p + len, false); break;
	case 'X': gdb_cmd_memory_write(g, p + 1, p + len, true); break;
	case 'c': gdb_cmd_continue(g, p + 1, GDB_CONTINUE); break;
	case 's': gdb_cmd_continue(g, p + 1, GDB_STEP); break;
	case 'H': len > 2 ? gdb_cmd_thread(g, p + 1, true) : gdb_say(g, "E22"); break;
	case 'T': gdb_cmd_thread(g, p + 1, false); break;
	case 'Z': gdb_cmd_point(g, p + 1, true); break;
	case 'z': gdb_cmd_point(g, p + 1, false); break;
	case 'q':
	case 'Q': gdb_cmd_query(g, p); break;
	case 'v': cmd_v(g, p); break;
	case 'D': gdb_say(g, "OK"); gdb_leave(g); break;
	case 'k': vm_end(g->vm, VM_REQUEST_POWEROFF); break;
	default: gdb_say(g, ""); break;
	}
}

int gdb_create_idle(struct gdb **out, struct vm *vm, struct err *e)
{
	struct gdb *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->vm = vm;
	g->listener = g->peer = -1;
	buf_init(&g->out, OUT_MAX);
	buf_init(&g->answer, GDB_PACKET_MAX);
	buf_init(&g->xml, 64 << 10);
	if (gdb_target_xml(&g->xml) < 0) {
		gdb_destroy(g);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*out = g;
	return 0;
}

int gdb_create(struct gdb **out, const char *spec, struct vm *vm, struct err *e)
{
	struct gdb *g;
	int ret = vm->accel->set_debug ? gdb_create_idle(&g, vm, e)
				       : err_set(e, -ENOTSUP, "the accelerator %s cannot debug guests",
						 vm->accel->name);

	if (ret < 0)
		return ret;
	ret = gdb_listen(g, spec, e);
	if (ret < 0) {
		gdb_destroy(g);
		return ret;
	}
	*out = g;
	return 0;
}

void gdb_destroy(struct gdb *g)
{
	if (!g)
		return;
	gdb_unlisten(g);
	buf_free(&g->out);
	buf_free(&g->answer);
	buf_free(&g->xml);
	free(g);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode: entry, exit, what it may do (SDM 3A chapter 20). */
#include "cpu32.h"

enum { CODE_AT = 0x10000, SEG = 0x1000, STACK_SEG = 0x2000, VM = 1 << 17, IOPL3 = 3 << 12 };

extern char v_blob[], v_blob_end[], v_int[], v_cli[], v_pushf[], v_in[], v_hlt[], v_seg[], v_far[], v_limit[], v_lar[],
	v_cr[], v_int3[], v_ud[], v_iret[], v_iret_to[], v_movs[], v_sti_popf[], v_ret_far[];
__asm__(".text\n.code16\n"
	"v_blob:\n"
	"v_int: movw $0x1234,%ax; int $0x80\n"
	"v_cli: cli; int $0x80\n"
	"v_pushf: pushfw; popw %ax; int $0x80\n"
	"v_sti_popf: pushw $0x3202; popfw; pushfw; popw %ax; int $0x80\n"
	"v_in: movw $0x80,%dx; inb %dx,%al; int $0x80\n"
	"v_hlt: hlt; movw $0x55,%bx; int $0x80\n"
	"v_seg: movw $0x1800,%ax; movw %ax,%ds; movb $0x5a,0x10; movw %ds,%bx; int $0x80\n"
	"v_far: lcall $0x1001,$(v_ret_far-v_blob-16); movw %cs,%bx; int $0x80\n"
	"v_ret_far: movw %cs,%cx; lretw\n"
	"v_limit: movl $0x10000,%ebx; movb (%ebx),%al; int $0x80\n"
	"v_lar: larw %ax,%ax; int $0x80\n"
	"v_cr: movl %cr0,%eax; int $0x80\n"
	"v_int3: int3; int $0x80\n"
	"v_ud: ud2\n"
	"v_iret: pushfw; pushw %cs; pushw $(v_iret_to-v_blob); iretw; ud2\n"
	"v_iret_to: movw %sp,%cx; int $0x80\n"
	"v_blob_end:\n.code32\n");

static void enter(const char *at, uint32_t flags)
{
	uint32_t words[9] = {
		(uint32_t)(at - v_blob), SEG, flags | VM | 2, 0xfff0, STACK_SEG, 0x1111, 0x2222, 0x3333, 0x4444};

	begin();
	enter_frame(words, 9);
}

static bool skip_hlt(struct frame *f)
{
	if (f->vector != 13)
		return false;
	f->eip++;
	return true;
}

static void entry_and_exit(void)
{
	enter(v_int, IOPL3);
	expect("v86 int 0x80", EXIT_INT, NOCODE);
	check("v86 int: ax", last.eax & 0xffff, 0x1234);
	check("v86 int: cs:ip", last.cs << 16 | (last.eip & 0xffff), SEG << 16 | (uint32_t)(v_cli - v_blob));
	check("v86 int: ss:sp", last.ss << 16 | (last.esp & 0xffff), (uint32_t)STACK_SEG << 16 | 0xfff0);
	check("v86 int: es, ds", last.ves << 16 | last.vds, 0x11112222);
	check("v86 int: fs, gs", last.vfs << 16 | last.vgs, 0x33334444);
	check("v86 int: flags", last.eflags, VM | IOPL3 | 2);
	check("v86 int: segments are null in the handler", (last.ds | last.es | last.fs | last.gs) & 0xffff, 0);
	enter(v_int, 0);
	expect("v86 int with IOPL 0", 13, 0);
	enter(v_int3, 0);
	expect("v86 int3 with IOPL 0", 3, NOCODE);
	enter(v_ud, 0);
	expect("v86 ud2", 6, NOCODE);
	hook = skip_hlt;
	enter(v_hlt, IOPL3);
	hook = NULL;
	expect("v86 hlt, skipped by the monitor", EXIT_INT, NOCODE);
	check("v86 went on after the monitor", last.ebx & 0xffff, 0x55);
}

static void sensitive(void)
{
	enter(v_cli, 0);
	expect("v86 cli with IOPL 0", 13, 0);
	enter(v_cli, IOPL3 | 0x200);
	expect("v86 cli with IOPL 3", EXIT_INT, NOCODE);
	check("v86 cli clears IF", last.eflags & 0x200, 0);
	enter(v_pushf, 0);
	expect("v86 pushf with IOPL 0", 13, 0);
	enter(v_pushf, IOPL3);
	check("v86 pushf", last.eax & 0xffff, 0x3002);
	enter(v_sti_popf, IOPL3);
	check("v86 popf sets IF", last.eax & 0xffff, 0x3202);
	enter(v_in, IOPL3);
	expect("v86 in, denied", 13, 0);
	tss.bitmap[16] = 0;
	enter(v_in, IOPL3);
	expect("v86 in, allowed", EXIT_INT, NOCODE);
	tss.bitmap[16] = 0xff;
	enter(v_lar, IOPL3);
	expect("v86 lar", 6, NOCODE);
	enter(v_cr, IOPL3);
	expect("v86 mov from cr0", 13, 0);
	enter(v_iret, 0);
	expect("v86 iret with IOPL 0", 13, 0);
	enter(v_iret, IOPL3);
	expect("v86 iret", EXIT_INT, NOCODE);
	check("v86 iret: sp", last.ecx & 0xffff, 0xfff0);
}

static void addressing(void)
{
	*(volatile uint8_t *)0x18010 = 0;
	enter(v_seg, IOPL3);
	check("v86 segment base", *(volatile uint8_t *)0x18010, 0x5a);
	check("v86 ds", last.ebx & 0xffff, 0x1800);
	enter(v_limit, IOPL3);
	expect("v86 offset above 64 KiB", 13, 0);
	enter(v_far, IOPL3);
	expect("v86 far call", EXIT_INT, NOCODE);
	check("v86 far call: cs there and back", (last.ecx & 0xffff) << 16 | (last.ebx & 0xffff), 0x1001u << 16 | SEG);
}

void test_v86(void)
{
	memcpy((void *)CODE_AT, v_blob, (size_t)(v_blob_end - v_blob));
	entry_and_exit();
	sensitive();
	addressing();
}

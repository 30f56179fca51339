/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kvm_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GUEST(name, bits, text)                                                                                 \
	__asm__(".pushsection .rodata\n.code" #bits "\n.global " #name "_start, " #name "_end\n" #name "_start:\n" \
	        text "\n" #name "_end:\n.code64\n.popsection\n")

GUEST(guest_add_hlt, 16, "mov $40, %ax\n add $2, %ax\n mov %ax, 0x9000\n hlt\n incw 0x9000\n hlt");

/* out 1, 2, 4 bytes; in 1; rep outsb of 5 bytes; rep insw of 3 */
GUEST(guest_ports, 16,
      "mov $0x3f8, %dx\n mov $0x11223344, %eax\n out %al, %dx\n out %ax, %dx\n out %eax, %dx\n"
      "in %dx, %al\n mov %al, 0x9000\n"
      "cld\n mov $0x1000, %si\n mov $5, %cx\n rep outsb\n"
      "mov $0x9010, %di\n mov $3, %cx\n rep insw\n hlt");

GUEST(guest_spin, 16, "1: jmp 1b");
GUEST(guest_count, 64, "1: incq 0x9000\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, 0x9008\n jmp 1b");

/* interrupt 0x21 adds 1 to the word at 0x9000; the guest waits for three of them, the last ones in HLT */
GUEST(guest_sti_wait, 16,
      "movw $handler - guest_sti_wait_start + 0x1000, 0x84\n movw $0, 0x86\n sti\n"
      "1: cmpw $1, 0x9000\n jb 1b\n"
      "2: hlt\n cmpw $3, 0x9000\n jb 2b\n cli\n hlt\n"
      "handler: incw 0x9000\n iretw");

GUEST(guest_mmio, 64,
      "mov $0xd0000000, %ebx\n mov $0x1122334455667788, %rax\n"
      "mov %al, (%rbx)\n mov %ax, 2(%rbx)\n mov %eax, 4(%rbx)\n mov %rax, 8(%rbx)\n"
      "mov (%rbx), %cl\n mov 2(%rbx), %dx\n mov 4(%rbx), %esi\n mov 8(%rbx), %rdi\n hlt");

GUEST(guest_doorbell, 64,
      "mov $0xd0000000, %ebx\n mov $7, %eax\n mov %ax, (%rbx)\n mov $8, %eax\n mov %ax, (%rbx)\n hlt");

/* LOCK CMPXCHG16B twice: one that matches, one that does not */
GUEST(guest_cx16, 64,
      "mov $0x9000, %edi\n mov $1, %eax\n mov $2, %edx\n mov $3, %ebx\n mov $4, %ecx\n"
      "lock cmpxchg16b (%rdi)\n setz 0x9020\n lock cmpxchg16b (%rdi)\n setz 0x9021\n mov %rax, 0x9028\n mov %rdx, "
      "0x9030\n hlt");

GUEST(guest_deadline, 64,
      "mov $0x6e0, %ecx\n mov $0x1234, %eax\n xor %edx, %edx\n wrmsr\n xor %eax, %eax\n rdmsr\n hlt");

GUEST(guest_triple, 64, "ud2");
/* CPUID of the leaf in EAX, subleaf in ECX */
GUEST(guest_cpuid, 64, "cpuid\n hlt");
GUEST(guest_hlt_loop, 16, "1: sti\n hlt\n jmp 1b");

static void fail_on(int r, const struct err *e)
{
	if (r < 0)
		fail_msg("%s", e->text);
}

void guest_create(struct guest *g, const struct accel_ops *accel, const char *options)
{
	struct err e = { 0 };
	memset(g, 0, sizeof(*g));
	fail_on(loop_create(&g->loop, NULL, &e), &e);
	struct vm_config cfg = { .loop = g->loop, .accel = accel, .accel_options = options };
	fail_on(vm_create(&g->vm, &cfg, &e), &e);
	fail_on(gmem_add_ram(g->vm->mem, 0, GUEST_RAM, "ram", false, &e), &e);
	fail_on(vm_add_vcpu(g->vm, 0, &g->v, &e), &e);
	int rows = accel->cpuid(g->vm, g->cpuid, X86_CPUID_MAX, &e);
	fail_on(rows, &e);
	g->v->cpuid = g->cpuid;
	g->v->cpuid_count = (unsigned)rows;
}

void guest_destroy(struct guest *g)
{
	vm_destroy(g->vm);
	loop_destroy(g->loop);
}

static void long_mode_tables(struct guest *g)
{
	uint64_t pml4 = GUEST_PML4, pdpt = pml4 + 0x1000, pd = pdpt + 0x1000, entry = pdpt | 3;
	assert_int_equal(gmem_write(g->vm->mem, pml4, &entry, 8), 0);
	for (unsigned n = 0; n < 4; n++) {
		entry = (pd + n * 0x1000) | 3;
		assert_int_equal(gmem_write(g->vm->mem, pdpt + n * 8, &entry, 8), 0);
	}
	for (uint64_t n = 0; n < 4 * 512; n++) {
		entry = n << 21 | 0x83;
		assert_int_equal(gmem_write(g->vm->mem, pd + n * 8, &entry, 8), 0);
	}
}

static void long_mode_state(struct x86_state *s)
{
	s->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP;
	s->cr3 = GUEST_PML4;
	s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	for (unsigned n = X86_ES; n <= X86_GS; n++)
		s->seg[n] = (struct x86_seg){ .limit = 0xffffffff,
					      .sel = 16,
					      .attr = X86_AR_G | X86_AR_DB | X86_AR_P | X86_AR_S | 3 };
	s->seg[X86_CS] = (struct x86_seg){ .limit = 0xffffffff,
					   .sel = 8,
					   .attr = X86_AR_G | X86_AR_L | X86_AR_P | X86_AR_S | 11 };
	s->idtr.limit = 0;
}

void guest_load(struct guest *g, struct guest_code code, bool long_mode, struct x86_state *s)
{
	struct err e = { 0 };
	x86_state_reset(s, true, g->cpuid[0].eax);
	assert_int_equal(gmem_write(g->vm->mem, GUEST_CODE, code.start, (uint64_t)(code.end - code.start)), 0);
	s->cr0 = X86_CR0_ET;
	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->idtr.limit = 0x3ff;
	if (long_mode) {
		long_mode_tables(g);
		long_mode_state(s);
	}
	s->rip = GUEST_CODE;
	s->gpr[X86_RSP] = GUEST_STACK;
	fail_on(vcpu_set_state(g->v, s, &e), &e);
}

uint64_t guest_read64(struct guest *g, uint64_t gpa)
{
	uint64_t v = 0;
	assert_int_equal(gmem_read(g->vm->mem, gpa, &v, 8), 0);
	return v;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a self-checking guest through step.h, without board or interrupts: memory, a serial port and the exit port are
 * all that there is. Usage: system-step IMAGE. Exit status: 0 when the guest ended with 0.
 */
#include "accel/soft/step.h"
#include "base/bytes.h"
#include "core/accel.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/vm.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAM_SIZE = 64 << 20, STEPS = 1 << 16, ROUNDS_MAX = 20000, IMAGE_MAX = 1 << 20, XEN_ELFNOTE_PHYS32_ENTRY = 18 };

struct run {
	struct vm *vm;
	struct vcpu *v;
	struct soft_step *step;
	struct x86_cpuid cpuid[X86_CPUID_MAX];
	bool ended;
	uint8_t status;
};

static uint64_t serial_read(void *opaque, uint64_t off, unsigned width)
{
	return off == 5 ? 0x60 : 0;
}

static void serial_write(void *opaque, uint64_t off, unsigned width, uint64_t v)
{
	if (off == 0)
		putchar((int)v);
}

static uint64_t exit_read(void *opaque, uint64_t off, unsigned width)
{
	return 0;
}

static void exit_write(void *opaque, uint64_t off, unsigned width, uint64_t v)
{
	struct run *r = opaque;

	r->ended = true;
	r->status = (uint8_t)v;
}

static int attach(struct run *r, uint64_t port, uint64_t size, const char *name, const struct region_ops *ops,
                  struct err *e)
{
	struct region region = { REGION_PORT, port, size, name, ops, r, NULL };
	struct region_handle *h;

	return region_attach(r->vm->regions, &region, &h, e);
}

/* CPUID without the APIC: there is none. */
static int make_machine(struct run *r, struct loop *loop, struct err *e)
{
	static const struct region_ops serial = { serial_read, serial_write, 0, 0 },
				       end = { exit_read, exit_write, 0, 0 };
	struct vm_config cfg = { .loop = loop, .accel = &accel_soft };
	int n;

	n = vm_create(&r->vm, &cfg, e);
	if (!n)
		n = gmem_add_ram(r->vm->mem, 0, RAM_SIZE, "ram", false, e);
	if (!n)
		n = vm_add_vcpu(r->vm, 0, &r->v, e);
	if (!n)
		n = attach(r, 0x3f8, 8, "serial", &serial, e);
	if (!n)
		n = attach(r, 0xf4, 4, "exit", &end, e);
	if (n)
		return n;
	n = accel_soft.cpuid(r->vm, r->cpuid, X86_CPUID_MAX, e);
	if (n < 0)
		return n;
	for (int k = 0; k < n; k++)
		if (r->cpuid[k].leaf == 1)
			r->cpuid[k].edx &= ~(1u << 9);
	r->v->cpuid = r->cpuid;
	r->v->cpuid_count = (unsigned)n;
	return soft_step_create(&r->step, r->v, e);
}

/* The 32-bit entry in the PVH note of an ELF image of either class. */
static uint32_t find_entry(const uint8_t *at, uint64_t size)
{
	for (uint64_t n = 0; n + 20 <= size; n += 4)
		if (load_le32(at + n) == 4 && load_le32(at + n + 8) == XEN_ELFNOTE_PHYS32_ENTRY &&
		    !memcmp(at + n + 12, "Xen", 4))
			return load_le32(at + n + 16);
	return 0;
}

static int load_segment(struct run *r, const uint8_t *image, uint64_t size, uint64_t off, uint64_t pa, uint64_t len)
{
	if (!range_inside(off, len, size))
		return -EINVAL;
	return gmem_write(r->vm->mem, pa, image + off, len);
}

static int load_image(struct run *r, const uint8_t *image, uint64_t size, uint32_t *entry)
{
	bool wide = image[EI_CLASS] == ELFCLASS64;
	const Elf64_Ehdr *h64 = (const void *)image;
	const Elf32_Ehdr *h32 = (const void *)image;
	unsigned count = wide ? h64->e_phnum : h32->e_phnum;
	int rc = 0;

	for (unsigned n = 0; n < count && !rc; n++) {
		const Elf64_Phdr *p64 = (const void *)(image + h64->e_phoff + n * sizeof(*p64));
		const Elf32_Phdr *p32 = (const void *)(image + h32->e_phoff + n * sizeof(*p32));
		if ((wide ? p64->p_type : p32->p_type) != PT_LOAD)
			continue;
		rc = wide ? load_segment(r, image, size, p64->p_offset, p64->p_paddr, p64->p_filesz)
		          : load_segment(r, image, size, p32->p_offset, p32->p_paddr, p32->p_filesz);
	}
	*entry = find_entry(image, size);
	return rc ? rc : *entry ? 0 : -ENOEXEC;
}

/* Flat 32-bit protected mode, as the PVH protocol has it. */
static void entry_state(struct x86_state *s, uint32_t entry)
{
	enum { DATA = X86_AR_P | X86_AR_S | X86_AR_WRITABLE | X86_AR_ACCESSED | X86_AR_G | X86_AR_DB };

	x86_state_reset(s, true, 0);
	s->cr0 = X86_CR0_PE | X86_CR0_ET;
	for (unsigned n = 0; n < 6; n++)
		s->seg[n] = (struct x86_seg){ .sel = n == X86_CS ? 8 : 16, .limit = UINT32_MAX,
			                      .attr = DATA | (n == X86_CS ? X86_AR_CODE : 0) };
	s->rip = entry;
}

static int run(struct run *r, struct x86_state *s)
{
	struct soft_step_result res = { 0 };

	for (unsigned n = 0; n < ROUNDS_MAX && !r->ended; n++) {
		soft_step_run(r->step, s, STEPS, true, &res);
		if (!r->ended && (res.shutdown || res.halted)) {
			printf("\n%s at rip %llx\n", res.halted ? "halted" : "triple fault",
			       (unsigned long long)s->rip);
			return 2;
		}
	}
	if (!r->ended)
		printf("\nstill running at rip %llx\n", (unsigned long long)s->rip);
	return r->ended ? r->status : 3;
}

int main(int argc, char **argv)
{
	static struct run r;
	static uint8_t image[IMAGE_MAX];
	struct x86_state s;
	struct err e = { 0 };
	struct loop *loop;
	uint32_t entry;
	FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
	size_t size;
	int status;

	if (!f) {
		fprintf(stderr, "usage: system-step IMAGE\n");
		return 64;
	}
	size = fread(image, 1, sizeof(image), f);
	fclose(f);
	if (loop_create(&loop, NULL, &e) || make_machine(&r, loop, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	if (size < sizeof(Elf64_Ehdr) || load_image(&r, image, size, &entry)) {
		fprintf(stderr, "%s is no PVH image that fits in memory\n", argv[1]);
		return 1;
	}
	entry_state(&s, entry);
	status = run(&r, &s);
	soft_step_destroy(r.step);
	vm_destroy(r.vm);
	loop_destroy(loop);
	return status;
}

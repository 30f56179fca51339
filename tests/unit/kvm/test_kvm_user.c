/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User code by KVM and all else by the soft CPU, against the soft CPU alone: pieces of user code that end in the kernel
 * by a system call, an exception or an interrupt, with the whole outcome compared.
 */
#include "kvm_guest.h"

#include "accel/kvm/kvm_user.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum {
	IDT = 0x200000, /* the second large page: the kernel's */
	ENTRY = 0x201000,
	GDT = 0x203000,
	TSS = 0x204000,
	KSTACK = 0x206000,
	LSTAR = 0x207000,
	USER_CS = 0x33,
	USER_SS = 0x2b,
	KERNEL_CS = 8,
};

/* ---- user code, each piece from its label to the next ---- */

#define PIECES(X) \
	X(syscall, "mov $1, %eax\n mov $2, %edi\n stc\n syscall") \
	X(int80, "mov $7, %ebx\n int $0x80") \
	X(int3, "mov $7, %ebx\n int3") \
	X(int1, "mov $7, %ebx\n .byte 0xf1") \
	X(ud2, "inc %rbx\n ud2") \
	X(hlt, "inc %rbx\n hlt") \
	X(cli, "inc %rbx\n cli") \
	X(in, "mov $0x3f8, %edx\n in %dx, %al") \
	X(divide, "xor %ecx, %ecx\n mov $9, %eax\n div %ecx") \
	X(read_nothing, "xor %eax, %eax\n mov $0x40000000, %rdx\n mov (%rdx,%rax), %rbx") \
	X(write_nothing, "mov $0x4000001234, %rdx\n movq $1, (%rdx)") \
	X(read_kernel, "mov $0x200010, %edx\n mov (%rdx), %rbx") \
	X(write_kernel, "mov $0x200010, %edx\n mov %ebx, (%rdx)") \
	X(jump_kernel, "mov $0x207000, %edx\n jmp *%rdx") \
	X(jump_nothing, "mov $0xffffff8000002804, %rdx\n mov $0x1002, %ecx\n jmp *%rdx") \
	X(not_canonical, "mov $0x8000000000000000, %rdx\n mov (%rdx), %rbx") \
	X(trap_flag, "pushf\n orl $0x100, (%rsp)\n popf\n inc %rbx\n inc %rbx\n ud2") \
	X(flags, "mov $0x12345678, %eax\n add %eax, %eax\n std\n pushf\n pop %rbx\n cld\n ud2") \
	X(stack, "push $5\n call 1f\n ud2\n 1: pop %rbx\n push %rbx\n ret") \
	X(loop, "mov $100000, %ecx\n xor %eax, %eax\n 1: lea 3(%rax,%rcx), %rax\n dec %ecx\n jnz 1b\n ud2") \
	X(sse, "mov $3, %eax\n cvtsi2sd %eax, %xmm1\n sqrtsd %xmm1, %xmm15\n mulpd %xmm15, %xmm1\n ud2") \
	X(x87, "fld1\n fldpi\n fdivrp\n fstpt 0x9100\n ud2") \
	X(masked_not, "stmxcsr 0x9000\n andl $~0x200, 0x9000\n ldmxcsr 0x9000\n xorps %xmm0, %xmm0\n" \
		      "pcmpeqd %xmm2, %xmm2\n psrld $25, %xmm2\n pslld $23, %xmm2\n divps %xmm0, %xmm2\n ud2") \
	X(fs_base, "mov $0x9000, %edx\n movq $77, 0x9008\n wrfsbase %rdx\n mov %fs:8, %rbx\n rdfsbase %rsi\n ud2") \
	X(atomics, "mov $3, %eax\n lock xadd %eax, 0x9020\n lock cmpxchg %ecx, 0x9020\n ud2") \
	X(code_changed, "movb $0x90, 1f(%rip)\n movb $0x90, 1f+1(%rip)\n jmp 1f\n 1: ud2\n inc %rbx\n hlt") \
	X(selectors, "mov %cs, %eax\n mov %ss, %ebx\n ud2")

#define PIECE_CODE(name, text) \
	"piece_" #name "_start:\n" text "\npiece_" #name "_end:\n"
__asm__(".pushsection .rodata\n.code64\n" PIECES(PIECE_CODE) ".popsection\n");
#define PIECE_DECLARE(name, text) GUEST_CODE_DECLARE(piece_##name);
PIECES(PIECE_DECLARE)

static const struct piece {
	const char *name;
	const uint8_t *start, *end;
} piece_table[] = {
#define PIECE_ROW(name, text) { #name, piece_##name##_start, piece_##name##_end },
	PIECES(PIECE_ROW)
};

/* ---- the kernel: every way into it leads to a HLT ---- */

static void put(struct guest *g, uint64_t gpa, const void *bytes, uint64_t len)
{
	assert_int_equal(gmem_write(g->vm->mem, gpa, bytes, len), 0);
}

static void put64(struct guest *g, uint64_t gpa, uint64_t v)
{
	put(g, gpa, &v, 8);
}

static void kernel_fill(struct guest *g)
{
	for (unsigned n = 0; n < 256; n++) {
		uint64_t to = ENTRY + n * 8, dpl = n == 3 || n == 0x80 ? 3 : 0;
		put64(g, IDT + n * 16, (to & 0xffff) | KERNEL_CS << 16 | (0x8e00 | dpl << 13) << 32 | to >> 16 << 48);
		put64(g, IDT + n * 16 + 8, 0);
		put(g, to, "\xf4", 1);
	}
	put(g, LSTAR, "\xf4", 1);
	put64(g, GDT + KERNEL_CS, 0x00af9b000000ffff);
	put64(g, GDT + 16, 0x00cf93000000ffff);
	put64(g, GDT + 40, 0x00cff3000000ffff);
	put64(g, GDT + 48, 0x00affb000000ffff);
	put64(g, TSS + 4, KSTACK);
	put(g, TSS + 0x66, "\x68", 2);
	/* the first 2 MiB are the user's */
	put64(g, GUEST_PML4, (GUEST_PML4 + 0x1000) | 7);
	put64(g, GUEST_PML4 + 0x1000, (GUEST_PML4 + 0x2000) | 7);
	put64(g, GUEST_PML4 + 0x2000, 0x87);
}

static void user_start(struct guest *g, struct guest_code code)
{
	struct x86_state s;
	struct err e = { 0 };
	guest_load(g, code, true, &s);
	kernel_fill(g);
	s.seg[X86_CS].sel = USER_CS;
	s.seg[X86_CS].attr |= X86_AR_DPL;
	s.seg[X86_SS].sel = USER_SS;
	s.seg[X86_SS].attr |= X86_AR_DPL;
	for (unsigned n = 0; n < COUNT_OF(s.seg); n++)
		if (n == X86_DS || n == X86_ES || n == X86_FS || n == X86_GS)
			s.seg[n] = (struct x86_seg){ .attr = X86_AR_UNUSABLE };
	s.seg[X86_TR] = (struct x86_seg){ .base = TSS, .limit = 0x67, .sel = 0x40, .attr = X86_AR_P | 11 };
	s.idtr = (struct x86_table){ .base = IDT, .limit = 0xfff };
	s.gdtr = (struct x86_table){ .base = GDT, .limit = 0x37 };
	s.cr4 |= X86_CR4_FSGSBASE | X86_CR4_OSXMMEXCPT;
	s.star = UINT64_C(0x23) << 48 | (uint64_t)KERNEL_CS << 32;
	s.lstar = LSTAR;
	s.sfmask = 0x47700;
	s.rflags = X86_FLAG_ONE | X86_FLAG_IF;
	s.gpr[X86_RBX] = 100;
	if (vcpu_set_state(g->v, &s, &e) < 0)
		fail_msg("%s", e.text);
}

/* ---- the two machines ---- */

static const struct accel_ops *split(void)
{
	const struct accel_ops *accel = NULL;
	struct err e = { 0 };
	if (kvm_choose("split=on", &accel, &e) < 0)
		fail_msg("%s", e.text);
	return accel;
}

static void machine(struct guest *g, const struct accel_ops *accel)
{
	struct err e = { 0 };
	guest_create(g, accel, NULL);
	if (accel->vm_prepare(g->vm, &e) < 0)
		fail_msg("%s", e.text);
}

static void run_to_kernel(struct guest *g, const char *name)
{
	enum vcpu_exit why = g->vm->accel->vcpu_run(g->v);
	if (why == VCPU_EXIT_ERROR)
		fail_msg("%s: %s", name, g->vm->fault.text);
	if (why != VCPU_EXIT_HALTED)
		fail_msg("%s: left guest code for reason %d", name, why);
}

static void state(struct guest *g, struct x86_state *s)
{
	struct err e = { 0 };
	if (vcpu_get_state(g->v, s, &e) < 0)
		fail_msg("%s", e.text);
}

static void same(const char *name, const char *what, uint64_t kvm, uint64_t soft)
{
	if (kvm != soft)
		fail_msg("%s: %s is %#llx with KVM, %#llx without", name, what, (unsigned long long)kvm,
			 (unsigned long long)soft);
}

static void compare(const char *name, struct guest *kvm, struct guest *soft)
{
	static const char *const frame[] = { "code",         "pushed rip", "pushed cs",
					     "pushed flags", "pushed rsp", "pushed ss" };
	struct x86_state a, b;
	state(kvm, &a);
	state(soft, &b);
	same(name, "rip", a.rip, b.rip);
	for (unsigned n = 0; n < X86_GPR_COUNT; n++)
		same(name, "a register", a.gpr[n], b.gpr[n]);
	same(name, "rflags", a.rflags, b.rflags);
	same(name, "cr2", a.cr2, b.cr2);
	same(name, "cs", a.seg[X86_CS].sel, b.seg[X86_CS].sel);
	same(name, "fs base", a.seg[X86_FS].base, b.seg[X86_FS].base);
	same(name, "dr6", a.dr[6], b.dr[6]);
	same(name, "mxcsr", a.fpu.mxcsr, b.fpu.mxcsr);
	for (unsigned n = 0; n < 16; n++)
		same(name, "an xmm register", memcmp(a.fpu.zmm[n], b.fpu.zmm[n], 16), 0);
	for (unsigned n = 0; n < COUNT_OF(frame); n++)
		same(name, frame[n], guest_read64(kvm, KSTACK - 48 + n * 8), guest_read64(soft, KSTACK - 48 + n * 8));
	for (unsigned n = 0; n < 0x200; n += 8)
		same(name, "memory", guest_read64(kvm, GUEST_DATA + n), guest_read64(soft, GUEST_DATA + n));
}

static uint64_t counter(struct guest *g, const char *name);

static void test_pieces(void **unused)
{
	for (unsigned n = 0; n < COUNT_OF(piece_table); n++) {
		const struct piece *p = &piece_table[n];
		struct guest kvm, soft;
		machine(&kvm, split());
		machine(&soft, &accel_soft);
		user_start(&kvm, (struct guest_code){ p->start, p->end });
		user_start(&soft, (struct guest_code){ p->start, p->end });
		run_to_kernel(&kvm, p->name);
		run_to_kernel(&soft, p->name);
		compare(p->name, &kvm, &soft);
		assert_true(counter(&kvm, "kvm-user-entries") > 0);
		guest_destroy(&kvm);
		guest_destroy(&soft);
	}
}

/* ---- translations ---- */

struct wanted {
	const char *name;
	uint64_t value;
};

static void find(void *opaque, const char *name, uint64_t value)
{
	struct wanted *w = opaque;
	if (!strcmp(name, w->name))
		w->value = value;
}

static uint64_t counter(struct guest *g, const char *name)
{
	struct wanted w = { name, 0 };
	g->vm->accel->stats(g->vm, find, &w);
	return w.value;
}

__asm__(".pushsection .rodata\n.code64\n"
	"reads_start: mov $0x8000000000, %rdx\n mov (%rdx), %rbx\n syscall\n reads_end:\n"
	".popsection\n");
GUEST_CODE_DECLARE(reads);

/* The page at 512 GiB is 0x300000 first, then the kernel maps another there and flushes. */
static void test_remap(void **unused)
{
	struct guest g;
	struct x86_state s;
	struct err e = { 0 };
	machine(&g, split());
	user_start(&g, GUEST_CODE_OF(reads));
	put64(&g, GUEST_PML4 + 8, 0x210000 | 7);
	put64(&g, 0x210000, 0x211000 | 7);
	put64(&g, 0x211000, 0x212000 | 7);
	put64(&g, 0x212000, 0x300000 | 7);
	put64(&g, 0x300000, 1111);
	put64(&g, 0x301000, 2222);
	run_to_kernel(&g, "reads");
	state(&g, &s);
	assert_int_equal(s.rip, LSTAR + 1);
	assert_int_equal(s.gpr[X86_RBX], 1111);
	user_start(&g, GUEST_CODE_OF(reads)); /* a state that is set has flushed */
	put64(&g, GUEST_PML4 + 8, 0x210000 | 7);
	put64(&g, 0x212000, 0x301000 | 7);
	run_to_kernel(&g, "reads again");
	state(&g, &s);
	assert_int_equal(s.gpr[X86_RBX], 2222);
	/* another address space: the same tables but for the page */
	user_start(&g, GUEST_CODE_OF(reads));
	put64(&g, 0x215000, (GUEST_PML4 + 0x1000) | 7);
	put64(&g, 0x215008, 0x216000 | 7);
	put64(&g, 0x216000, 0x217000 | 7);
	put64(&g, 0x217000, 0x218000 | 7);
	put64(&g, 0x218000, 0x300000 | 7);
	state(&g, &s);
	s.cr3 = 0x215000;
	s.rip = GUEST_CODE;
	assert_int_equal(vcpu_set_state(g.v, &s, &e), 0);
	run_to_kernel(&g, "reads in another space");
	state(&g, &s);
	assert_int_equal(s.gpr[X86_RBX], 1111);
	guest_destroy(&g);
}

/* ---- kicks ---- */

__asm__(".pushsection .rodata\n.code64\n"
	"spins_start: 1: incq 0x9000\n cmpq $0, 0x9008\n je 1b\n syscall\n spins_end:\n"
	".popsection\n");
GUEST_CODE_DECLARE(spins);

/* At least fifty times, and until the guest has got somewhere: on a busy host it has no processor for a while. */
static void *kicker(void *arg)
{
	struct guest *g = arg;
	for (unsigned n = 0; n < 50 || (n < 100000 && guest_read64(g, GUEST_DATA) <= 1000); n++) {
		nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
		vcpu_attend(g->v, VCPU_ATT_INTR);
	}
	vcpu_attend(g->v, VCPU_ATT_STOP);
	return NULL;
}

static void test_kick(void **unused)
{
	struct guest g;
	struct x86_state s;
	pthread_t t;
	machine(&g, split());
	user_start(&g, GUEST_CODE_OF(spins));
	put64(&g, GUEST_DATA + 8, 0);
	assert_int_equal(pthread_create(&t, NULL, kicker, &g), 0);
	assert_int_equal(g.vm->accel->vcpu_run(g.v), VCPU_EXIT_ATTENTION);
	pthread_join(t, NULL);
	state(&g, &s);
	assert_int_equal(s.seg[X86_CS].sel, USER_CS);
	assert_true(s.rip >= GUEST_CODE && s.rip < GUEST_CODE + (uint64_t)(spins_end - spins_start));
	assert_true(guest_read64(&g, GUEST_DATA) > 1000);
	atomic_fetch_and(&g.v->attention, ~(unsigned)VCPU_ATT_STOP);
	put64(&g, GUEST_DATA + 8, 1);
	run_to_kernel(&g, "after the kicks");
	state(&g, &s);
	assert_int_equal(s.rip, LSTAR + 1);
	guest_destroy(&g);
}

__asm__(".pushsection .rodata\n.code64\n"
	"breaks_start: mov $2000, %ecx\n 1: dec %ecx\n jnz 1b\n int3\n breaks_end:\n"
	".popsection\n");
GUEST_CODE_DECLARE(breaks);

struct kicking {
	struct guest *g;
	_Atomic bool end;
};

static void *kick_on(void *arg)
{
	struct kicking *k = arg;
	while (!atomic_load(&k->end)) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		vcpu_attend(k->g->v, VCPU_ATT_INTR);
	}
	return NULL;
}

/* A kick may find a breakpoint half way into the kernel; it must arrive once. */
static void test_kick_and_break(void **unused)
{
	struct guest g;
	struct x86_state s;
	pthread_t t;
	struct kicking k = { .g = &g };
	machine(&g, split());
	assert_int_equal(pthread_create(&t, NULL, kick_on, &k), 0);
	for (unsigned n = 0; n < 300; n++) {
		user_start(&g, GUEST_CODE_OF(breaks));
		put(&g, GUEST_CODE + (uint64_t)(breaks_end - breaks_start), "\x0f\x0b", 2);
		run_to_kernel(&g, "breaks");
		state(&g, &s);
		assert_int_equal(s.rip, ENTRY + 3 * 8 + 1);
		assert_int_equal(guest_read64(&g, KSTACK - 40), GUEST_CODE + (uint64_t)(breaks_end - breaks_start));
	}
	atomic_store(&k.end, true);
	pthread_join(t, NULL);
	guest_destroy(&g);
}

static void test_options(void **unused)
{
	const struct accel_ops *accel = NULL;
	struct err e = { 0 };
	assert_int_equal(kvm_choose("split=perhaps", &accel, &e), -EINVAL);
	assert_int_equal(kvm_choose("split=off,irqchip=off", &accel, &e), 0);
	assert_ptr_equal(accel, &accel_kvm);
	assert_int_equal(kvm_choose(NULL, &accel, &e), 0);
	assert_non_null(accel);
}

int main(void)
{
	struct err e = { 0 };
	if (accel_kvm.usable(&e) < 0) {
		fprintf(stderr, "SKIPPED, nothing of KVM was tested: %s\n", e.text);
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces), cmocka_unit_test(test_remap),
		cmocka_unit_test(test_kick),   cmocka_unit_test(test_kick_and_break),
		cmocka_unit_test(test_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The accelerator "kvm" where KVM cannot run a guest's kernel: the soft CPU's machine, with KVM for user code. */
#include "accel/kvm/kvm_user.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>

/* vm->accel_data and vcpu->accel_data are the soft CPU's. */
struct split {
	struct kvm_user_machine um;
	struct kvm_user *user[VCPU_MAX];
};

static struct split *split_of(const struct vm *vm)
{
	return vm->accel_extra;
}

static void split_free(struct split *p)
{
	if (p->um.m)
		kvm_machine_close(p->um.m);
	kvm_user_mem_destroy(&p->um);
	pthread_mutex_destroy(&p->um.lock);
	free(p);
}

static int split_vm_create(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e)
{
	struct split *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "no memory for a KVM machine");
	pthread_mutex_init(&p->um.lock, NULL);
	int r = kvm_machine_open(&p->um.m, vm, e);
	if (r == 0)
		r = accel_soft.vm_create(vm, "translate=off", caps, e); /* KVM has the hot code */
	if (r < 0) {
		split_free(p);
		return r;
	}
	vm->accel_extra = p;
	return 0;
}

static int split_vm_prepare(struct vm *vm, struct err *e)
{
	struct split *p = split_of(vm);
	int r = accel_soft.vm_prepare(vm, e);
	if (r == 0)
		r = kvm_mem_prepare(p->um.m, e);
	if (r == 0)
		r = kvm_user_mem_create(&p->um, vm->vcpu_count, e);
	for (unsigned n = 0; r == 0 && n < vm->vcpu_count; n++) {
		r = kvm_user_prepare(p->user[n], e);
		if (r == 0)
			soft_user_set(vm->vcpu[n], &p->user[n]->engine);
	}
	return r;
}

static void split_vm_destroy(struct vm *vm)
{
	accel_soft.vm_destroy(vm);
	if (split_of(vm))
		split_free(split_of(vm));
	vm->accel_extra = NULL;
}

static int split_vcpu_create(struct vcpu *v, struct err *e)
{
	struct split *p = split_of(v->vm);
	int r = accel_soft.vcpu_create(v, e);
	if (r < 0)
		return r;
	r = kvm_user_create(&p->user[v->index], &p->um, v, e);
	if (r < 0)
		accel_soft.vcpu_destroy(v);
	return r;
}

static void split_vcpu_destroy(struct vcpu *v)
{
	struct split *p = split_of(v->vm);
	accel_soft.vcpu_destroy(v);
	kvm_user_destroy(p->user[v->index]);
	p->user[v->index] = NULL;
}

static void split_kick(struct vcpu *v)
{
	accel_soft.vcpu_kick(v);
	kvm_kick(split_of(v->vm)->user[v->index]->k);
}

static void split_dirty_sync(struct vm *vm, bool enable)
{
	accel_soft.dirty_sync(vm, enable);
	kvm_mem_dirty_sync(split_of(vm)->um.m, enable);
}

static void split_stats(struct vm *vm, void (*emit)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	uint64_t entries = 0, steps = 0, forgets = 0;
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		const struct kvm_user *u = split_of(vm)->user[n];
		entries += atomic_load(&u->entries);
		steps += atomic_load(&u->steps);
		forgets += atomic_load(&u->forgets);
	}
	accel_soft.stats(vm, emit, opaque);
	emit(opaque, "kvm-user-entries", entries);
	emit(opaque, "kvm-user-steps", steps);
	emit(opaque, "kvm-user-flushes", forgets);
}

/* ---- CPUID ---- */

enum { XCR0_AVX512 = 0xe0 };

/* The features of AVX-512 that user code finds by CPUID and XGETBV of the host, where KVM cannot hide them; so the
 * guest's kernel must know of its registers. The soft CPU executes them as the host does. */
static bool host_avx512(uint32_t v[4])
{
	const uint32_t must = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F DQ CD BW VL */
	uint32_t lo, hi, a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27))
		return false;
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo & XCR0_AVX512) == XCR0_AVX512 && __get_cpuid_count(7, 0, &v[0], &v[1], &v[2], &v[3]) &&
	       (v[1] & must) == must;
}

static void add(struct x86_cpuid *rows, unsigned max, int *count, unsigned component)
{
	uint32_t a, b, c, d;
	if (!__get_cpuid_count(0xd, component, &a, &b, &c, &d) || (unsigned)*count == max)
		return;
	rows[(*count)++] = (struct x86_cpuid){ 0xd, component, true, a, b, c, d };
	for (int n = 0; n < *count; n++)
		if (rows[n].leaf == 0xd && rows[n].subleaf == 0 && rows[n].ecx < a + b)
			rows[n].ebx = rows[n].ecx = a + b;
}

static int row_compare(const void *a, const void *b)
{
	const struct x86_cpuid *x = a, *y = b;
	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return x->subleaf < y->subleaf ? -1 : x->subleaf > y->subleaf;
}

static int split_cpuid(struct vm *vm, struct x86_cpuid *rows, unsigned max, struct err *e)
{
	uint32_t v[4];
	int count = accel_soft.cpuid(vm, rows, max, e);
	if (count < 0 || !host_avx512(v))
		return count;
	for (int n = 0; n < count; n++) {
		if (rows[n].leaf == 7 && rows[n].subleaf == 0) {
			/* F DQ IFMA CD BW VL; VBMI VBMI2 VNNI BITALG VPOPCNTDQ; FP16 */
			rows[n].ebx |= v[1] & (1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31);
			rows[n].ecx |= v[2] & (1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
			rows[n].edx |= v[3] & (1u << 23);
		}
		if (rows[n].leaf == 0xd && rows[n].subleaf == 0)
			rows[n].eax |= XCR0_AVX512;
	}
	for (unsigned c = 5; c <= 7; c++)
		add(rows, max, &count, c);
	qsort(rows, (size_t)count, sizeof(*rows), row_compare);
	return count;
}

static int split_usable(struct err *e)
{
	return accel_kvm.usable(e);
}

static enum vcpu_exit split_run(struct vcpu *v)
{
	return accel_soft.vcpu_run(v);
}

static int split_get_state(struct vcpu *v, struct x86_state *s, struct err *e)
{
	return accel_soft.get_state(v, s, e);
}

static int split_set_state(struct vcpu *v, const struct x86_state *s, struct err *e)
{
	return accel_soft.set_state(v, s, e);
}

static int split_set_debug(struct vcpu *v, const struct vcpu_debug *d, struct err *e)
{
	return accel_soft.set_debug(v, d, e);
}

static const struct accel_ops accel_split = {
	.name = "kvm",
	.usable = split_usable,
	.vm_create = split_vm_create,
	.vm_prepare = split_vm_prepare,
	.vm_destroy = split_vm_destroy,
	.cpuid = split_cpuid,
	.vcpu_create = split_vcpu_create,
	.vcpu_destroy = split_vcpu_destroy,
	.vcpu_run = split_run,
	.vcpu_kick = split_kick,
	.get_state = split_get_state,
	.set_state = split_set_state,
	.set_debug = split_set_debug,
	.dirty_sync = split_dirty_sync,
	.stats = split_stats,
};

/* ---- which of the two ---- */

int kvm_choose(const char *options, const struct accel_ops **out, struct err *e)
{
	struct kvm_options o;
	struct kvm_machine *m;
	int r = kvm_options_read(&o, options, e);
	if (r < 0)
		return r;
	*out = o.split == KVM_SPLIT_ON ? &accel_split : &accel_kvm;
	if (o.split != KVM_SPLIT_AUTO)
		return 0;
	r = kvm_machine_open(&m, NULL, e);
	if (r < 0)
		return r;
	if (!kvm_syscall_works(m))
		*out = &accel_split;
	kvm_machine_close(m);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The accelerator "kvm": a machine and its vCPUs made and unmade. */
#include "accel/kvm/kvm.h"

#include "base/opt.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int kvm_usable(struct err *e)
{
	int fd = kvm_open(e);
	if (fd < 0)
		return fd;
	struct kvm_offer o;
	kvm_probe_offer(fd, &o);
	int vm = ioctl(fd, KVM_CREATE_VM, 0);
	int r = 0;
	if (vm < 0)
		r = err_errno(
			e, errno,
			"KVM refuses to make a machine (does another hypervisor hold the processor's virtualization?)");
	else if (!o.user_memory || !o.immediate_exit)
		r = err_set(e, -ENOTSUP,
			    "this kernel's KVM is too old: it lacks %s; run Linux 4.11 or later, or use --accel soft",
			    o.user_memory ? "immediate_exit" : "user memory");
	if (vm >= 0)
		close(vm);
	close(fd);
	return r;
}

static const struct opt_desc option_table[] = {
	{ "irqchip", OPT_STRING, .help = "on: interrupt controllers in the kernel (default), off: our own" },
	{ "assist", OPT_BOOL, .help = "instructions that KVM cannot emulate are done by the soft CPU (default on)" },
	{ "split", OPT_STRING, .help = "on: KVM runs user code only, the soft CPU the rest; auto: where KVM needs it" },
	{ NULL },
};

int kvm_options_read(struct kvm_options *out, const char *text, struct err *e)
{
	struct opts o;
	*out = (struct kvm_options){ .irqchip = true, .assist = true, .split = KVM_SPLIT_AUTO };
	if (!text || !*text)
		return 0;
	int r = opts_parse(&o, option_table, text, e);
	if (r < 0)
		return err_wrap(e, "--accel kvm");
	const char *chip = opts_string(&o, "irqchip", "on"), *split = opts_string(&o, "split", "auto");
	out->assist = opts_bool(&o, "assist", true);
	out->irqchip = !strcmp(chip, "on");
	out->split = !strcmp(split, "on") ? KVM_SPLIT_ON : !strcmp(split, "off") ? KVM_SPLIT_OFF : KVM_SPLIT_AUTO;
	if (!out->irqchip && strcmp(chip, "off"))
		r = err_set(e, -EINVAL, "--accel kvm: irqchip is 'on' or 'off', not '%s'", chip);
	else if (out->split == KVM_SPLIT_AUTO && strcmp(split, "auto"))
		r = err_set(e, -EINVAL, "--accel kvm: split is 'on', 'off' or 'auto', not '%s'", split);
	opts_free(&o);
	return r;
}

/* Two pages that Intel processors without unrestricted guest mode need, out of the way of RAM, firmware and MMIO. */
static void legacy_pages(struct kvm_machine *m)
{
	uint64_t identity = 0xfeffc000;
	if (m->offer.set_identity_map_addr)
		(void)ioctl(m->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (m->offer.set_tss_addr)
		(void)ioctl(m->fd, KVM_SET_TSS_ADDR, identity + 0x1000);
}

static bool enable_cap(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };
	return ioctl(fd, KVM_ENABLE_CAP, &c) == 0;
}

/* With our own local APIC: the TSC deadline, which KVM would swallow, and every MSR that KVM does not know. */
static void msr_exits_enable(struct kvm_machine *m)
{
	if (!m->offer.user_space_msr || !m->offer.msr_filter)
		return;
	if (!enable_cap(m->fd, KVM_CAP_X86_USER_SPACE_MSR,
	                KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER))
		return;
	uint8_t none = 0;
	struct kvm_msr_filter f = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			       .nmsrs = 1,
			       .base = 0x6e0,
			       .bitmap = &none },
	};
	m->msr_exits = ioctl(m->fd, KVM_X86_SET_MSR_FILTER, &f) == 0;
}

static void msr_index_read(struct kvm_machine *m)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[COUNT_OF(m->msr_index)];
	} l = { .head.nmsrs = COUNT_OF(m->msr_index) };
	if (ioctl(m->dev_fd, KVM_GET_MSR_INDEX_LIST, &l) < 0)
		return;
	m->msr_index_count = l.head.nmsrs;
	memcpy(m->msr_index, l.index, m->msr_index_count * sizeof(uint32_t));
}

static int machine_open(struct kvm_machine *m, struct err *e)
{
	m->dev_fd = kvm_open(e);
	if (m->dev_fd < 0)
		return m->dev_fd;
	kvm_probe_offer(m->dev_fd, &m->offer);
	if (!m->offer.user_memory || !m->offer.immediate_exit)
		return err_set(e, -ENOTSUP,
			       "this kernel's KVM is too old; run Linux 4.11 or later, or use --accel soft");
	m->run_size = ioctl(m->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (m->run_size < (int)sizeof(struct kvm_run))
		return err_set(e, -ENOTSUP, "KVM's run structure has %d bytes, at least %zu are needed", m->run_size,
			       sizeof(struct kvm_run));
	m->fd = ioctl(m->dev_fd, KVM_CREATE_VM, 0);
	if (m->fd < 0)
		return err_errno(
			e, errno,
			"KVM refuses to make a machine (does another hypervisor hold the processor's virtualization?)");
	return 0;
}

void kvm_machine_close(struct kvm_machine *m)
{
	if (m->fd >= 0)
		close(m->fd);
	if (m->dev_fd >= 0)
		close(m->dev_fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int kvm_machine_open(struct kvm_machine **out, struct vm *vm, struct err *e)
{
	struct kvm_machine *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for a KVM machine");
	m->vm = vm;
	m->fd = m->dev_fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	int r = machine_open(m, e);
	if (r == 0)
		r = kvm_kick_install(e);
	if (r < 0) {
		kvm_machine_close(m);
		return r;
	}
	legacy_pages(m);
	msr_index_read(m);
	*out = m;
	return 0;
}

static int kvm_vm_create(struct vm *vm, const char *options, struct accel_caps *caps, struct err *e)
{
	struct kvm_machine *m;
	struct kvm_options o;
	int r = kvm_options_read(&o, options, e);
	if (r == 0)
		r = kvm_machine_open(&m, vm, e);
	if (r < 0)
		return r;
	m->assist = o.assist;
	r = kvm_irq_create(m, o.irqchip, e);
	if (r < 0) {
		kvm_machine_close(m);
		return r;
	}
	if (!m->irqchip)
		msr_exits_enable(m);
	if (m->assist && m->offer.exit_on_emulation_failure)
		m->emulation_exits = enable_cap(m->fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	vm->accel_data = m;
	*caps = (struct accel_caps){
		.kernel_irqchip = m->irqchip,
		.kernel_pit = m->pit,
		.kernel_clock = true,
		.debug_int3 = true,
		.irqfd = m->irqchip && m->offer.irqfd && m->offer.irq_routing > KVM_GSI_COUNT * 2,
	};
	return 0;
}

static int kvm_vm_prepare(struct vm *vm, struct err *e)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	int r = kvm_mem_prepare(m, e);
	for (unsigned n = 0; r == 0 && n < vm->vcpu_count; n++)
		r = kvm_cpuid_set(kvm_cpu_of(vm->vcpu[n]), e);
	if (r == 0)
		r = kvm_irq_prepare(m, e);
	if (r == 0)
		r = kvm_chips_attach(m, e);
	if (r < 0)
		return r;
	kvm_mem_listen(m, true);
	m->prepared = true;
	return 0;
}

static void kvm_vm_destroy(struct vm *vm)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	if (!m)
		return;
	if (m->prepared)
		kvm_mem_listen(m, false);
	vm->accel_data = NULL;
	kvm_machine_close(m);
}

static int vcpu_map(struct kvm_cpu *k, struct err *e)
{
	struct kvm_machine *m = k->m;
	k->fd = ioctl(m->fd, KVM_CREATE_VCPU, (unsigned long)k->v->apic_id);
	if (k->fd < 0 && errno == EINVAL)
		return err_set(e, -EINVAL, "KVM refuses vCPU %u with APIC id %u: this kernel takes at most %d vCPUs",
			       k->v->index, k->v->apic_id, m->offer.max_vcpus);
	if (k->fd < 0)
		return err_errno(e, errno, "KVM refuses vCPU %u", k->v->index);
	k->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
	if (k->run == MAP_FAILED) {
		k->run = NULL;
		return err_errno(e, errno, "cannot map KVM's run structure of vCPU %u", k->v->index);
	}
	k->xsave_size = kvm_xsave_bytes(m);
	k->xsave = aligned_alloc(4096, k->xsave_size);
	if (!k->xsave)
		return err_set(e, -ENOMEM, "no memory for the state of vCPU %u", k->v->index);
	return 0;
}

void kvm_cpu_close(struct kvm_cpu *k)
{
	kvm_assist_destroy(k);
	free(k->xsave);
	if (k->run)
		munmap(k->run, k->m->run_size);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

int kvm_cpu_open(struct kvm_cpu **out, struct kvm_machine *m, struct vcpu *v, struct err *e)
{
	struct kvm_cpu *k = calloc(1, sizeof(*k));
	if (!k)
		return err_set(e, -ENOMEM, "no memory for vCPU %u", v->index);
	k->v = v;
	k->m = m;
	k->fd = -1;
	int r = vcpu_map(k, e);
	if (r < 0) {
		kvm_cpu_close(k);
		return r;
	}
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET };
	m->tsc_attr = m->offer.vcpu_attributes && ioctl(k->fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
	*out = k;
	return 0;
}

static void kvm_vcpu_destroy(struct vcpu *v)
{
	struct kvm_cpu *k = kvm_cpu_of(v);
	v->accel_data = NULL;
	if (k)
		kvm_cpu_close(k);
}

static int kvm_vcpu_create(struct vcpu *v, struct err *e)
{
	struct kvm_cpu *k;
	int r = kvm_cpu_open(&k, kvm_machine_of(v->vm), v, e);
	if (r < 0)
		return r;
	v->accel_data = k;
	k->wait_sipi = v->index != 0;
	return 0;
}

static const struct {
	unsigned reason;
	const char *name;
} exit_name[] = {
	{ KVM_EXIT_IO, "kvm-exit-io" },
	{ KVM_EXIT_MMIO, "kvm-exit-mmio" },
	{ KVM_EXIT_HLT, "kvm-exit-hlt" },
	{ KVM_EXIT_IRQ_WINDOW_OPEN, "kvm-exit-irq-window" },
	{ KVM_EXIT_INTR, "kvm-exit-interrupted" },
	{ KVM_EXIT_SET_TPR, "kvm-exit-tpr" },
	{ KVM_EXIT_X86_RDMSR, "kvm-exit-rdmsr" },
	{ KVM_EXIT_X86_WRMSR, "kvm-exit-wrmsr" },
	{ KVM_EXIT_INTERNAL_ERROR, "kvm-exit-emulation-failed" },
};

static void kvm_stats(struct vm *vm, void (*emit)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	for (unsigned n = 0; n < COUNT_OF(exit_name); n++) {
		uint64_t sum = 0;
		for (unsigned c = 0; c < vm->vcpu_count; c++)
			sum += atomic_load(&kvm_cpu_of(vm->vcpu[c])->exit_count[exit_name[n].reason]);
		emit(opaque, exit_name[n].name, sum);
	}
	emit(opaque, "kvm-msi-sent", atomic_load(&m->msi_sent));
	emit(opaque, "kvm-msi-failed", atomic_load(&m->msi_failed));
	emit(opaque, "kvm-doorbells", atomic_load(&m->doorbells));
	emit(opaque, "kvm-tsc-fixed", m->tsc_fixed);
	emit(opaque, "kvm-assist-failed", atomic_load(&m->assist_failed));
}

static void kvm_dirty_sync(struct vm *vm, bool enable)
{
	kvm_mem_dirty_sync(kvm_machine_of(vm), enable);
}

const struct accel_ops accel_kvm = {
	.name = "kvm",
	.usable = kvm_usable,
	.vm_create = kvm_vm_create,
	.vm_prepare = kvm_vm_prepare,
	.vm_destroy = kvm_vm_destroy,
	.cpuid = kvm_cpuid_supported,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_run = kvm_cpu_run,
	.vcpu_kick = kvm_cpu_kick,
	.get_state = kvm_state_get,
	.set_state = kvm_state_set,
	.set_debug = kvm_debug_set,
	.irq_line = kvm_irq_line,
	.msi = kvm_irq_msi,
	.irqfd_msi = kvm_irq_irqfd_msi,
	.clock_changed = kvm_clock_changed,
	.dirty_sync = kvm_dirty_sync,
	.stats = kvm_stats,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening /dev/kvm and asking what it offers. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int open_failed(struct err *e, int cause)
{
	switch (cause) {
	case ENOENT:
		return err_set(e, -ENOENT,
			       "/dev/kvm does not exist: load the module (modprobe kvm_intel or kvm_amd), switch "
			       "virtualization on "
			       "in the firmware setup, or give this virtual machine nested virtualization; else use "
			       "--accel soft");
	case EACCES:
	case EPERM:
		return err_set(e, -EACCES,
		               "no permission to open /dev/kvm: have the administrator add you to its group "
		               "(usermod -aG kvm USER, then log in again); else use --accel soft");
	case ENODEV:
	case ENXIO:
		return err_set(
			e, -ENODEV,
			"/dev/kvm exists but no KVM module answers: load kvm_intel or kvm_amd and see dmesg for why it "
			"refused; else use --accel soft");
	default:
		return err_errno(e, cause, "cannot open /dev/kvm (use --accel soft to go on without)");
	}
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_failed(e, errno);
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		int r = version < 0
				? err_errno(e, errno, "/dev/kvm does not answer KVM_GET_API_VERSION; it is not KVM")
				: err_set(e, -ENOTSUP,
					  "KVM API version %d, this program speaks %d: run a kernel of 2.6.22 or later",
					  version, KVM_API_VERSION);
		close(fd);
		return r;
	}
	return fd;
}

#define OFFER(cap, member) { cap, offsetof(struct kvm_offer, member) }
static const struct {
	int cap;
	unsigned offset;
} offer_table[] = {
	OFFER(KVM_CAP_USER_MEMORY, user_memory),
	OFFER(KVM_CAP_IMMEDIATE_EXIT, immediate_exit),
	OFFER(KVM_CAP_NR_MEMSLOTS, nr_memslots),
	OFFER(KVM_CAP_READONLY_MEM, readonly_mem),
	OFFER(KVM_CAP_MAX_VCPUS, max_vcpus),
	OFFER(KVM_CAP_IRQCHIP, irqchip),
	OFFER(KVM_CAP_PIT2, pit2),
	OFFER(KVM_CAP_SIGNAL_MSI, signal_msi),
	OFFER(KVM_CAP_IRQ_ROUTING, irq_routing),
	OFFER(KVM_CAP_IRQFD, irqfd),
	OFFER(KVM_CAP_IOEVENTFD, ioeventfd),
	OFFER(KVM_CAP_IOEVENTFD_ANY_LENGTH, ioeventfd_any_length),
	OFFER(KVM_CAP_SET_TSS_ADDR, set_tss_addr),
	OFFER(KVM_CAP_SET_IDENTITY_MAP_ADDR, set_identity_map_addr),
	OFFER(KVM_CAP_EXT_CPUID, ext_cpuid),
	OFFER(KVM_CAP_MP_STATE, mp_state),
	OFFER(KVM_CAP_VCPU_EVENTS, vcpu_events),
	OFFER(KVM_CAP_DEBUGREGS, debugregs),
	OFFER(KVM_CAP_XCRS, xcrs),
	OFFER(KVM_CAP_XSAVE, xsave),
	OFFER(KVM_CAP_XSAVE2, xsave2),
	OFFER(KVM_CAP_SYNC_REGS, sync_regs),
	OFFER(KVM_CAP_X86_SMM, smm),
	OFFER(KVM_CAP_USER_NMI, user_nmi),
	OFFER(KVM_CAP_X86_USER_SPACE_MSR, user_space_msr),
	OFFER(KVM_CAP_X86_MSR_FILTER, msr_filter),
	OFFER(KVM_CAP_EXIT_ON_EMULATION_FAILURE, exit_on_emulation_failure),
	OFFER(KVM_CAP_ADJUST_CLOCK, adjust_clock),
	OFFER(KVM_CAP_KVMCLOCK_CTRL, kvmclock_ctrl),
	OFFER(KVM_CAP_VCPU_ATTRIBUTES, vcpu_attributes),
};

void kvm_probe_offer(int dev_fd, struct kvm_offer *o)
{
	for (unsigned n = 0; n < COUNT_OF(offer_table); n++) {
		int r = ioctl(dev_fd, KVM_CHECK_EXTENSION, offer_table[n].cap);
		*(int *)((char *)o + offer_table[n].offset) = r < 0 ? 0 : r;
	}
}

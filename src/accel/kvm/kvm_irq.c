/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers in the kernel: local APICs, IOAPIC, two PICs, PIT; lines, messages, irqfds.
 *
 * GSI n is pin n of the IOAPIC and, below 16, input n of the PICs. Exception: the timer's ISA interrupt 0 arrives
 * at IOAPIC pin 2, as on every PC and as ACPI's interrupt override says; so GSI 0 and 2 are one line here.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int kvm_irq_create(struct kvm_machine *m, bool wanted, struct err *e)
{
	/* messages without KVM_SIGNAL_MSI, or no routing: such a kernel gets our own controllers */
	if (!wanted || !m->offer.irqchip || !m->offer.signal_msi || m->offer.irq_routing < KVM_GSI_COUNT * 2)
		return 0;
	if (ioctl(m->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_errno(
			e, errno,
			"KVM refuses interrupt controllers in the kernel; --accel kvm,irqchip=off uses our own");
	m->irqchip = true;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	m->pit = m->offer.pit2 && ioctl(m->fd, KVM_CREATE_PIT2, &pit) == 0;
	return 0;
}

static void route_pin(struct kvm_irq_routing *t, unsigned gsi, unsigned chip, unsigned pin)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static void route_message(struct kvm_irq_routing *t, unsigned gsi, const struct kvm_msi_route *r)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = (uint32_t)r->addr, .address_hi = (uint32_t)(r->addr >> 32), .data = r->data },
	};
}

/* Lock held (or nothing runs). KVM_SET_GSI_ROUTING takes the whole table each time. */
static int routes_write(struct kvm_machine *m)
{
	struct kvm_irq_routing *t = calloc(1, sizeof(*t) + KVM_ROUTE_MAX * sizeof(t->entries[0]));
	if (!t)
		return -ENOMEM;
	for (unsigned pin = 0; pin < 16; pin++)
		if (pin != 2)
			route_pin(t, pin, pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, pin & 7);
	for (unsigned pin = 0; pin < KVM_GSI_COUNT; pin++)
		if (pin != 2)
			route_pin(t, pin, KVM_IRQCHIP_IOAPIC, pin ? pin : 2);
	for (unsigned n = 0; n < KVM_MSI_ROUTE_MAX; n++)
		if (m->route[n].used)
			route_message(t, KVM_GSI_COUNT + n, &m->route[n]);
	int r = ioctl(m->fd, KVM_SET_GSI_ROUTING, t) < 0 ? -errno : 0;
	free(t);
	return r;
}

int kvm_irq_prepare(struct kvm_machine *m, struct err *e)
{
	if (!m->irqchip)
		return 0;
	int r = routes_write(m);
	return r < 0 ? err_errno(e, -r, "KVM refuses the interrupt routing; try --accel kvm,irqchip=off") : 0;
}

void kvm_irq_line(struct vm *vm, int gsi, bool level)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	struct kvm_irq_level l = { .irq = gsi == 2 ? 0 : gsi, .level = level };
	if (gsi < 0 || gsi >= KVM_GSI_COUNT || ioctl(m->fd, KVM_IRQ_LINE, &l) < 0)
		log_limited(&m->log_limit, LOG_WARNING, "KVM refuses interrupt line %d", gsi);
}

void kvm_irq_msi(struct vm *vm, uint64_t addr, uint32_t data)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	struct kvm_msi msi = { .address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data };
	/* 0: no processor took it (masked, or a bad destination that the guest wrote): not an error of ours */
	if (ioctl(m->fd, KVM_SIGNAL_MSI, &msi) >= 0) {
		atomic_fetch_add(&m->msi_sent, 1);
		return;
	}
	atomic_fetch_add(&m->msi_failed, 1);
	log_limited(&m->log_limit, LOG_WARNING, "KVM refuses the interrupt message %#llx/%#x that the guest programmed",
	            (unsigned long long)addr, data);
}

static int irqfd_set(struct kvm_machine *m, unsigned n, int event_fd, bool add)
{
	struct kvm_irqfd q = { .fd = (uint32_t)event_fd,
			       .gsi = KVM_GSI_COUNT + n,
			       .flags = add ? 0 : KVM_IRQFD_FLAG_DEASSIGN };
	return ioctl(m->fd, KVM_IRQFD, &q) < 0 ? -errno : 0;
}

static int route_add(struct kvm_machine *m, int event_fd, uint64_t addr, uint32_t data)
{
	unsigned limit = (unsigned)m->offer.irq_routing - KVM_GSI_COUNT * 2, n = 0;
	if (limit > KVM_MSI_ROUTE_MAX)
		limit = KVM_MSI_ROUTE_MAX;
	while (n < limit && m->route[n].used)
		n++;
	if (n == limit)
		return -ENOSPC;
	m->route[n] = (struct kvm_msi_route){ .used = true, .event_fd = event_fd, .addr = addr, .data = data };
	int r = routes_write(m);
	if (r == 0)
		r = irqfd_set(m, n, event_fd, true);
	if (r < 0)
		m->route[n].used = false;
	return r;
}

static int route_remove(struct kvm_machine *m, int event_fd, uint64_t addr, uint32_t data)
{
	for (unsigned n = 0; n < KVM_MSI_ROUTE_MAX; n++) {
		struct kvm_msi_route *r = &m->route[n];
		if (!r->used || r->event_fd != event_fd || r->addr != addr || r->data != data)
			continue;
		int result = irqfd_set(m, n, event_fd, false);
		r->used = false; /* the stale route goes with the next write of the table */
		return result;
	}
	return -ENOENT;
}

int kvm_irq_irqfd_msi(struct vm *vm, int event_fd, uint64_t addr, uint32_t data, bool add)
{
	struct kvm_machine *m = kvm_machine_of(vm);
	if (!m->irqchip || !m->offer.irqfd)
		return -ENOTSUP;
	pthread_mutex_lock(&m->lock);
	int r = add ? route_add(m, event_fd, addr, data) : route_remove(m, event_fd, addr, data);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/board_base.h"

#include "arch/x86/ioapic.h"
#include "arch/x86/lapic.h"
#include "arch/x86/pic.h"
#include "arch/x86/pit.h"
#include "arch/x86/pm.h"
#include "arch/x86/pvclock.h"
#include "arch/x86/pvpanic.h"
#include "arch/x86/rtc.h"
#include "arch/x86/vmgenid.h"
#include "base/bytes.h"
#include "core/accel.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "cpu/fit.h"
#include "devices/legacy/debug_exit.h"
#include "devices/virtio/balloon.h"

#include <errno.h>
#include <stdlib.h>

enum { IRQ_RTC = 8 };

/* ---- memory ---- */

/* A VGA's window lies in the middle of the first MiB. */
enum { VGA_HOLE = 0xa0000, VGA_HOLE_END = 0xc0000 };

static bool vga_hole(const struct board_config *cfg, uint64_t low)
{
	return cfg->video == BOARD_VIDEO_STD && low > VGA_HOLE_END;
}

int board_add_ram(struct board *b, const struct board_config *cfg, uint64_t low, struct err *e)
{
	uint64_t high = cfg->memory - low;
	int ret;

	if (cfg->memory < BOARD_MEMORY_MIN || cfg->memory > BOARD_MEMORY_MAX || cfg->memory % GMEM_PAGE)
		return err_set(e, -EINVAL, "memory of %llu bytes is not possible; from 2M to 1T in steps of 4K is",
		               (unsigned long long)cfg->memory);
	if (vga_hole(cfg, low)) {
		ret = gmem_add_ram(b->vm->mem, 0, VGA_HOLE, "ram-dos", false, e);
		if (ret == 0)
			ret = gmem_add_ram(b->vm->mem, VGA_HOLE_END, low - VGA_HOLE_END, "ram-low", cfg->hugepages, e);
	} else {
		ret = gmem_add_ram(b->vm->mem, 0, low, "ram-low", cfg->hugepages, e);
	}
	if (ret == 0 && high)
		ret = gmem_add_ram(b->vm->mem, GIB4, high, "ram-high", cfg->hugepages, e);
	b->layout.low_top = low;
	return ret;
}

/* ---- processors ---- */

int board_add_cpus(struct board *b, const struct board_config *cfg, struct err *e)
{
	const struct accel_caps *caps = vm_accel_caps(b->vm);
	struct x86_cpuid rows[X86_CPUID_MAX];
	struct cpuid_config cc = {
		.topology = cfg->topology,
		.cpus = cfg->cpus,
		.phys_bits = b->phys_bits,
		.tsc_khz = host_tsc_khz(),
		.x2apic = true,
		.tsc_deadline = true,
		.invariant_tsc = true,
		.pvclock = true,
		.kernel_irqchip = caps->kernel_irqchip,
	};
	struct vcpu *v;
	int count = b->vm->accel->cpuid(b->vm, rows, X86_CPUID_MAX, e);

	if (count >= 0 && cfg->cpu && cpu_fit(rows, (unsigned)count, cfg->cpu, e) < 0)
		return -ENOTSUP;
	for (unsigned n = 0; count >= 0 && n < cfg->cpus; n++) {
		int ret = vm_add_vcpu(b->vm, b->apic_id[n] = apic_id_for(&cfg->topology, n), &v, e);

		if (ret < 0)
			return ret;
		b->cpuid[n] = calloc(X86_CPUID_MAX, sizeof(*b->cpuid[n]));
		if (!b->cpuid[n])
			return err_set(e, -ENOMEM, "out of memory");
		ret = cpuid_build(b->cpuid[n], X86_CPUID_MAX, rows, (unsigned)count, &cc, n, e);
		if (ret < 0)
			return ret;
		v->cpuid = b->cpuid[n];
		v->cpuid_count = (unsigned)ret;
	}
	return count < 0 ? count : 0;
}

/* ---- interrupt controllers: the accelerator's, or ours ---- */

static void kernel_line(void *opaque, int n, bool level)
{
	struct vm *vm = opaque;

	vm->accel->irq_line(vm, n, level);
}

static void kernel_msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct vm *vm = opaque;

	vm->accel->msi(vm, addr, data);
}

static int kernel_bind(void *opaque, int event_fd, uint64_t addr, uint32_t data, bool add)
{
	struct vm *vm = opaque;

	return vm->accel->irqfd_msi(vm, event_fd, addr, data, add);
}

static void use_kernel_irqchip(struct board *b)
{
	for (int n = 0; n < GSI_COUNT; n++)
		b->gsi.ioapic[n] = (struct irq){ .set = kernel_line, .opaque = b->vm, .n = n };
	b->msi = (struct msi_sink){ .send = kernel_msi, .opaque = b->vm };
	if (vm_accel_caps(b->vm)->irqfd)
		b->msi.bind = kernel_bind;
}

static int add_irqchip(struct board *b, struct pvclock *pvclock, struct err *e)
{
	struct vm *vm = b->vm;
	struct apic_bus *bus;
	struct ioapic *ioapic;
	struct pic *pic;
	struct lapic *lapic;
	int ret = apic_bus_create(vm, (struct apic_bus_config){ .timers = vm->timers, .x2apic = true }, &bus, e);

	if (ret < 0)
		return ret;
	b->msi = apic_bus_msi(bus);
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct lapic_config lc = {
			.bus = bus, .vcpu = vm->vcpu[n], .virtual_wire = n == 0, .pvclock = pvclock
		};

		ret = lapic_create(vm, lc, &lapic, e);
		if (ret < 0)
			return ret;
	}
	ret = ioapic_create(vm, (struct ioapic_config){ .id = 0, .msi = b->msi }, &ioapic, e);
	if (ret == 0)
		ret = pic_create(vm, (struct pic_config){ .intr = apic_bus_lint0(bus) }, &pic, e);
	if (ret < 0)
		return ret;
	apic_bus_on_eoi(bus, ioapic_eoi, ioapic);
	apic_bus_on_extint(bus, pic_ack, pic);
	for (unsigned n = 0; n < GSI_COUNT; n++)
		b->gsi.ioapic[n] = ioapic_pin(ioapic, n);
	for (unsigned n = 0; n < GSI_ISA; n++)
		b->gsi.pic[n] = pic_pin(pic, n);
	return 0;
}

int board_add_interrupts(struct board *b, struct err *e)
{
	const struct accel_caps *caps = vm_accel_caps(b->vm);
	struct pvclock *pvclock = NULL;
	struct pit *pit;
	int ret = 0;

	if (!caps->kernel_clock)
		ret = pvclock_create(b->vm, (struct pvclock_config){ .mem = b->vm->mem, .clock = b->vm->clock },
				     &pvclock, e);
	if (ret == 0 && caps->kernel_irqchip)
		use_kernel_irqchip(b);
	else if (ret == 0)
		ret = add_irqchip(b, pvclock, e);
	if (ret == 0 && !caps->kernel_pit)
		ret = pit_create(b->vm, (struct pit_config){ .timers = b->vm->timers, .irq = gsi_legacy(&b->gsi, 0) },
				 &pit, e);
	return ret;
}

int board_add_reports(struct board *b, struct err *e)
{
	int ret = pvpanic_create(b->vm, (struct pvpanic_config){ .port = PORT_PVPANIC }, e);

	return ret < 0 ? ret : debug_exit_create(b->vm, (struct debug_exit_config){ 0 }, e);
}

int board_add_virtio(struct board *b, struct board_config *cfg, struct err *e)
{
	b->virtio.vm = b->vm;
	b->virtio.gsi = &b->gsi;
	b->virtio.input = b->input;
	return board_virtio_add(&b->virtio, cfg, e);
}

/* ---- ACPI ---- */

void board_describe(struct board *b, const struct board_config *cfg, uint16_t pm_base)
{
	b->acpi = (struct acpi_config){
		.cpus = cfg->cpus,
		.apic_id = b->apic_id,
		.lapic_base = (uint32_t)LAPIC_DEFAULT_BASE,
		.ioapic_base = (uint32_t)IOAPIC_DEFAULT_BASE,
		.pic = true,
		.timer_on_pin2 = true,
		.pm_event = (uint16_t)(pm_base + PM_EVENT),
		.pm_control = (uint16_t)(pm_base + PM_CONTROL),
		.pm_timer = (uint16_t)(pm_base + PM_TIMER),
		.gpe0 = (uint16_t)(pm_base + PM_GPE0),
		.gpe0_len = PM_GPE0_LEN,
		.reset_value = PM_RESET_VALUE,
		.sci = IRQ_SCI,
		.rtc = true,
		.pvpanic_port = PORT_PVPANIC,
		.numa = cfg->numa,
		.low_top = b->layout.low_top,
	};
	for (unsigned n = 0; n < BOARD_SERIALS && (n == 0 || n < cfg->serial_count); n++) {
		b->acpi.serial[n].port = board_serial_place[n].port;
		b->acpi.serial[n].irq = board_serial_place[n].irq;
	}
}

int board_add_rtc(struct board *b, const struct board_config *cfg, struct err *e)
{
	struct rtc_config rc = {
		.timers = b->vm->timers,
		.irq = gsi_legacy(&b->gsi, IRQ_RTC),
		.alarm = pm_alarm(b->pm),
		.mem_below_4g = b->layout.low_top,
		.mem_above_4g = cfg->memory - b->layout.low_top,
		.cpus = cfg->cpus,
		.offset_ns = cfg->rtc_offset_ns,
	};

	return rtc_create(b->vm, rc, &b->rtc, e);
}

/* ---- life ---- */

int board_reset_cpus(struct board *b,
		     int (*enter)(struct board *b, unsigned n, struct x86_state *s, struct err *e),
		     struct err *e)
{
	struct vm *vm = b->vm;
	struct x86_state *s = aligned_alloc(64, round_up(sizeof(*s), 64));
	int ret = s ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (unsigned n = 0; ret == 0 && n < vm->vcpu_count; n++) {
		const struct x86_cpuid *id = vcpu_cpuid(vm->vcpu[n], 1, 0);

		x86_state_reset(s, n == 0, id ? id->eax : 0);
		ret = enter ? enter(b, n, s, e) : 0;
		if (ret == 0)
			ret = vcpu_set_state(vm->vcpu[n], s, e);
	}
	free(s);
	return ret;
}

static void destroy(void *impl)
{
	struct board *b = impl;

	boot_close(b->boot);
	if (b->destroy)
		b->destroy(b);
	for (unsigned n = 0; n < VCPU_MAX; n++)
		free(b->cpuid[n]);
	input_destroy(b->input);
	display_destroy(b->display);
	free(b);
}

static const struct dev_type board_type = { .name = "board", .destroy = destroy };

int board_base_attach(struct board *b, struct vm *vm, struct board_config *cfg, struct err *e)
{
	int ret;

	b->vm = vm;
	ret = cfg->boot.kernel || cfg->boot.kernel_file.data ? boot_open(&b->boot, &cfg->boot, e) : 0;
	if (ret == 0)
		ret = input_create(&b->input, vm->loop, e);
	if (ret == 0)
		ret = display_create(&b->display, e);
	if (ret == 0)
		ret = dev_attach(vm, &board_type, "board", b, e);
	if (ret < 0)
		destroy(b);
	return ret;
}

struct dev *board_last_dev(const struct board *b)
{
	return list_entry(b->vm->devs.prev, struct dev, node);
}

void board_power_button(struct board *b)
{
	pm_power_button(b->pm);
}

int64_t board_clock_offset(struct board *b)
{
	const int64_t second = INT64_C(1000000000);
	int64_t ns = b->rtc ? rtc_offset_ns(b->rtc) + second / 2 : 0;

	return ns / second - (ns % second < 0);
}

bool board_generation_get(struct board *b, uint8_t id[16])
{
	if (b->generation)
		vmgenid_get(b->generation, id);
	return b->generation != NULL;
}

bool board_generation_set(struct board *b, const uint8_t id[16])
{
	if (b->generation)
		vmgenid_set(b->generation, id);
	return b->generation != NULL;
}

struct display *board_display(struct board *b)
{
	return b->display;
}

struct input *board_input(struct board *b)
{
	return b->input;
}

bool board_balloon_set(struct board *b, uint64_t bytes)
{
	uint64_t total = gmem_total(b->vm->mem);

	if (!b->virtio.balloon)
		return false;
	virtio_balloon_set_target(b->virtio.balloon, bytes < total ? total - bytes : 0);
	return true;
}

bool board_balloon_get(struct board *b, uint64_t *bytes, struct virtio_balloon_info *info)
{
	if (!b->virtio.balloon)
		return false;
	virtio_balloon_query(b->virtio.balloon, info);
	*bytes = gmem_total(b->vm->mem) - info->actual;
	return true;
}

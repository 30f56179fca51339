/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/pm.h"

#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>

/* PM1 status and enable bits (ACPI 6.4 table 4.11, 4.12). */
enum { PM1_TIMER = 1 << 0, PM1_GLOBAL = 1 << 5, PM1_POWER = 1 << 8, PM1_SLEEP = 1 << 9, PM1_RTC = 1 << 10,
       PM1_WAKE = 1 << 15, PM1_EVENTS = PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC };
enum { CNT_SCI_EN = 1 << 0, CNT_BM_RLD = 1 << 1, CNT_TYPE_SHIFT = 10, CNT_SLEEP = 1 << 13 };
enum { RESET_CPU = 4 };

struct pm {
	struct pm_config cfg;
	struct vm *vm;
	struct region_handle *region[2];
	pthread_mutex_t lock; /* guards all below; held while sci is driven */
	struct timer timer;
	uint16_t status, enable, control;
	uint16_t gpe_status, gpe_enable;
	bool asleep;         /* SLP_EN with the type of S3 was written */
	uint16_t woken;      /* status bits of what woke the guest */
	uint8_t reset;
	_Atomic bool alarm;  /* the clock's wire is high; any thread */
	uint64_t offset;     /* PM timer ticks at machine time 0 */
	uint64_t seen;       /* ticks up to which the timer's carry is noted */
	uint64_t ticks_save; /* saved state only */
};

static uint64_t ticks(const struct pm *pm)
{
	return muldiv64(clock_now(timerq_clock(pm->cfg.timers)), PM_TIMER_HZ, 1000000000) + pm->offset;
}

static void update_sci(struct pm *pm)
{
	irq_set(&pm->cfg.sci, (pm->status & pm->enable & PM1_EVENTS) || (pm->gpe_status & pm->gpe_enable));
}

/* TMR_STS: the top bit of the 32-bit timer changed. */
static void catch_up(struct pm *pm)
{
	uint64_t now = ticks(pm);
	if ((now ^ pm->seen) >> 31)
		pm->status |= PM1_TIMER;
	pm->seen = now;
}

/* Only an enabled carry that is not yet noted needs a host timer. */
static void rearm(struct pm *pm)
{
	if (!(pm->enable & PM1_TIMER) || (pm->status & PM1_TIMER)) {
		timer_cancel(&pm->timer);
		return;
	}
	uint64_t now = ticks(pm), left = (UINT64_C(1) << 31) - (now & 0x7fffffff);
	int64_t wait = (int64_t)muldiv64(left, 1000000000, PM_TIMER_HZ) + 1;
	timer_arm(&pm->timer, clock_now(timerq_clock(pm->cfg.timers)) + wait);
}

static void carry_due(void *opaque)
{
	struct pm *pm = opaque;
	pthread_mutex_lock(&pm->lock);
	catch_up(pm);
	update_sci(pm);
	rearm(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void reset_write(struct pm *pm, uint8_t value)
{
	bool fires = (value & RESET_CPU) && !(pm->reset & RESET_CPU);
	pm->reset = value & ~RESET_CPU;
	if (fires)
		vm_request(pm->vm, VM_REQUEST_RESET);
}

void pm_reset_write(struct pm *pm, uint8_t value)
{
	pthread_mutex_lock(&pm->lock);
	reset_write(pm, value);
	pthread_mutex_unlock(&pm->lock);
}

/* Events that reach a sleeping machine; the others wait for it to run. */
enum { PM1_WAKING = PM1_POWER | PM1_RTC };

static void wake_if_due(struct pm *pm)
{
	uint16_t why = pm->status & pm->enable & PM1_WAKING;

	if (!pm->asleep || !why)
		return;
	pm->woken |= why;
	vm_request(pm->vm, VM_REQUEST_WAKE);
}

static void control_write(struct pm *pm, unsigned byte, uint8_t value)
{
	unsigned shift = byte * 8;
	uint16_t v = (pm->control & ~(0xff << shift)) | value << shift;
	bool sleep = v & CNT_SLEEP;
	pm->control = (v & (CNT_BM_RLD | 7 << CNT_TYPE_SHIFT)) | CNT_SCI_EN;
	if (!sleep)
		return;
	unsigned type = (v >> CNT_TYPE_SHIFT) & 7;
	if (type == pm->cfg.s5_type) {
		vm_request(pm->vm, VM_REQUEST_POWEROFF);
	} else if (pm->cfg.s4_type && type == pm->cfg.s4_type) {
		vm_request(pm->vm, VM_REQUEST_HIBERNATE);
	} else if (pm->cfg.s3_type && type == pm->cfg.s3_type) {
		pm->asleep = true;
		pm->woken = 0;
		vm_request(pm->vm, VM_REQUEST_SLEEP);
		wake_if_due(pm); /* an event that came before it slept */
	}
}

static uint8_t byte_of(uint64_t v, unsigned n) { return v >> (n * 8); }

static uint8_t read_byte(const struct pm *pm, unsigned off, uint64_t now)
{
	switch (off) {
	case 0: case 1: return byte_of(pm->status, off);
	case 2: case 3: return byte_of(pm->enable, off - 2);
	case 4: case 5: return byte_of(pm->control, off - 4);
	case 8: case 9: case 10: case 11: return byte_of(now, off - 8);
	case PM_RESET: return pm->reset;
	case PM_GPE0: case PM_GPE0 + 1: return byte_of(pm->gpe_status, off - PM_GPE0);
	case PM_GPE0 + 2: case PM_GPE0 + 3: return byte_of(pm->gpe_enable, off - PM_GPE0 - 2);
	}
	return 0;
}

static void put_byte(uint16_t *reg, unsigned n, uint8_t value, uint16_t writable)
{
	uint16_t v = (*reg & ~(0xff << (n * 8))) | value << (n * 8);
	*reg = v & writable;
}

static void write_byte(struct pm *pm, unsigned off, uint8_t value)
{
	switch (off) {
	case 0: case 1: pm->status &= ~(value << (off * 8)); break; /* written ones clear */
	case 2: case 3: put_byte(&pm->enable, off - 2, value, PM1_EVENTS); break;
	case 4: case 5: control_write(pm, off - 4, value); break;
	case PM_RESET: reset_write(pm, value); break;
	case PM_GPE0: case PM_GPE0 + 1: pm->gpe_status &= ~(value << ((off - PM_GPE0) * 8)); break;
	case PM_GPE0 + 2: case PM_GPE0 + 3: put_byte(&pm->gpe_enable, off - PM_GPE0 - 2, value, 0xffff); break;
	}
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct pm *pm = opaque;
	uint64_t now = ticks(pm), v = 0;
	if (off < PM_EVENT_LEN)
		catch_up(pm);
	for (unsigned n = 0; n < width; n++)
		v |= (uint64_t)read_byte(pm, off + n, now) << (n * 8);
	return v;
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pm *pm = opaque;
	catch_up(pm);
	for (unsigned n = 0; n < width; n++)
		write_byte(pm, off + n, value >> (n * 8));
	update_sci(pm);
	rearm(pm);
}

static uint64_t reset_port_read(void *opaque, uint64_t off, unsigned width)
{
	struct pm *pm = opaque;
	return pm->reset;
}

static void reset_port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	reset_write(opaque, value);
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 4};
static const struct region_ops reset_ops = {
	.read = reset_port_read, .write = reset_port_write, .width_min = 1, .width_max = 1,
};

static void event(struct pm *pm, uint16_t bit)
{
	pthread_mutex_lock(&pm->lock);
	pm->status |= bit;
	update_sci(pm);
	wake_if_due(pm);
	pthread_mutex_unlock(&pm->lock);
}

void pm_power_button(struct pm *pm)
{
	event(pm, PM1_POWER);
}

static void alarm_set(void *opaque, int n, bool level)
{
	struct pm *pm = opaque;

	if (atomic_exchange(&pm->alarm, level) != level && level)
		event(pm, PM1_RTC);
}

struct irq pm_alarm(struct pm *pm)
{
	return (struct irq){ .set = alarm_set, .opaque = pm };
}

static void waker_set(void *opaque, int n, bool level)
{
	struct pm *pm = opaque;

	pthread_mutex_lock(&pm->lock);
	if (level && pm->asleep)
		vm_request(pm->vm, VM_REQUEST_WAKE);
	pthread_mutex_unlock(&pm->lock);
}

struct irq pm_waker(struct pm *pm)
{
	return (struct irq){ .set = waker_set, .opaque = pm };
}

void pm_woken(struct pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->status = PM1_WAKE | pm->woken;
	pm->woken = 0;
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

void pm_gpe_raise(struct pm *pm, unsigned n)
{
	pthread_mutex_lock(&pm->lock);
	pm->gpe_status |= 1u << (n & 15);
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

static int place(struct pm *pm, uint16_t base, struct err *e)
{
	struct region r = {.space = REGION_PORT, .addr = base, .size = PM_LEN, .name = "pm", .ops = &port_ops,
			   .opaque = pm, .lock = &pm->lock};
	return base && base != PM_NOWHERE ? region_attach(pm->vm->regions, &r, &pm->region[0], e) : 0;
}

void pm_move(struct pm *pm, uint16_t base)
{
	region_detach(pm->region[0]);
	pm->region[0] = NULL;
	if (place(pm, base, NULL))
		pm->region[0] = NULL; /* in another region's way */
}

static void pm_reset(void *impl)
{
	struct pm *pm = impl;
	pthread_mutex_lock(&pm->lock);
	pm->status = pm->enable = pm->gpe_status = pm->gpe_enable = 0;
	pm->control = CNT_SCI_EN;
	pm->reset = 0;
	pm->asleep = false;
	pm->seen = ticks(pm);
	update_sci(pm);
	rearm(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void pm_before_save(void *obj)
{
	struct pm *pm = obj;
	catch_up(pm);
	pm->ticks_save = ticks(pm);
}

static int pm_after_load(void *obj, uint16_t version, struct err *e)
{
	struct pm *pm = obj;
	pm->enable &= PM1_EVENTS;
	pm->status &= PM1_EVENTS | PM1_WAKE;
	pm->woken &= PM1_WAKING;
	pm->asleep = pm->asleep && pm->cfg.s3_type;
	pm->control = (pm->control & (CNT_BM_RLD | 7 << CNT_TYPE_SHIFT)) | CNT_SCI_EN;
	pm->reset &= ~RESET_CPU;
	pm->offset += pm->ticks_save - ticks(pm);
	pm->seen = ticks(pm);
	update_sci(pm);
	rearm(pm);
	return 0;
}

static const struct state_field pm_fields[] = {
	STATE_FIELD(struct pm, status, STATE_U16), STATE_FIELD(struct pm, enable, STATE_U16),
	STATE_FIELD(struct pm, control, STATE_U16), STATE_FIELD(struct pm, gpe_status, STATE_U16),
	STATE_FIELD(struct pm, gpe_enable, STATE_U16), STATE_FIELD(struct pm, reset, STATE_U8),
	STATE_FIELD(struct pm, ticks_save, STATE_U64),
	{ .name = "asleep", .kind = STATE_BOOL, .since = 2, .offset = offsetof(struct pm, asleep), .count = 1 },
	{ .name = "woken", .kind = STATE_U16, .since = 2, .offset = offsetof(struct pm, woken), .count = 1 },
	STATE_END,
};

static const struct state_desc pm_state = {
	.name = "pm", .version = 2, .fields = pm_fields, .before_save = pm_before_save, .after_load = pm_after_load,
};

static void pm_destroy(void *impl)
{
	struct pm *pm = impl;
	timer_cancel(&pm->timer);
	region_detach(pm->region[0]);
	region_detach(pm->region[1]);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static const struct dev_type pm_type = {
	.name = "pm", .destroy = pm_destroy, .reset = pm_reset, .state = &pm_state, .state_size = sizeof(struct pm),
};

int pm_create(struct vm *vm, struct pm_config cfg, struct pm **out, struct err *e)
{
	struct pm *pm = calloc(1, sizeof(*pm));
	if (!pm)
		return err_set(e, -ENOMEM, "no memory for the ACPI power management block");
	pm->cfg = cfg;
	pm->vm = vm;
	pthread_mutex_init(&pm->lock, NULL);
	timer_init(&pm->timer, cfg.timers, carry_due, pm);
	pm_reset(pm);
	struct region reset = {.space = REGION_PORT, .addr = cfg.reset_port, .size = 1, .name = "reset",
			       .ops = &reset_ops, .opaque = pm, .lock = &pm->lock};
	int rc = place(pm, cfg.base ? cfg.base : PM_DEFAULT_BASE, e);
	if (!rc && cfg.reset_port)
		rc = region_attach(vm->regions, &reset, &pm->region[1], e);
	if (!rc)
		rc = dev_attach(vm, &pm_type, NULL, pm, e);
	if (rc) {
		pm_destroy(pm);
		return rc;
	}
	*out = pm;
	return 0;
}

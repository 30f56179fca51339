/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/i6300esb.h"

#include "base/bytes.h"
#include "core/clock.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include <errno.h>
#include <stdlib.h>

enum { VENDOR_INTEL = 0x8086, DEVICE_6300ESB_WDT = 0x25ab, CLASS_OTHER = 0x088000 };
/* Configuration space (16.4): output and prescaler, lock. */
enum { C_CONFIG = 0x60, C_LOCK = 0x68, CONFIG_FAST = 1 << 2, CONFIG_NO_OUTPUT = 1 << 5, CONFIG_BITS = 0x27,
       LOCK_LOCKED = 1 << 0, LOCK_ENABLED = 1 << 1, LOCK_FREE_RUN = 1 << 2, LOCK_BITS = 7 };
/* Memory space (16.5): preload values, interrupt status, reload. */
enum { M_PRELOAD1 = 0x0, M_PRELOAD2 = 0x4, M_STATUS = 0x8, M_RELOAD = 0xc, M_SIZE = 16 };
enum { UNLOCK1 = 0x80, UNLOCK2 = 0x86, RELOAD = 0x100, TIMED_OUT = 0x200, STATUS_STAGE1 = 1 };
enum { PRELOAD_MAX = 0xfffff };
/* The PCI clock, divided: 33 MHz by 2^15 (about 1 kHz) or 2^5 (about 1 MHz). */
enum { PCI_HZ = 33333333, SHIFT_SLOW = 15, SHIFT_FAST = 5 };

struct i6300esb {
	struct pci_dev pci;
	struct vm *vm;
	struct timerq *timers;
	struct timer timer;
	pthread_mutex_t lock; /* guards all below */
	bool enabled, fast, quiet, free_run; /* copies of the configuration */
	uint8_t unlocked;                    /* how many of the two values came */
	uint8_t stage;                       /* 1 or 2; 0: stands */
	bool timed_out;
	uint32_t preload[2];
	uint32_t status;
	uint64_t left_ns; /* saved state only; 0: stands */
};

/* ---- the counter ---- */

static int64_t stage_ns(const struct i6300esb *w)
{
	uint64_t ticks = (uint64_t)w->preload[w->stage - 1] + 1;
	return (int64_t)muldiv64(ticks << (w->fast ? SHIFT_FAST : SHIFT_SLOW), 1000000000, PCI_HZ);
}

static void start(struct i6300esb *w, uint8_t stage)
{
	w->stage = w->enabled ? stage : 0;
	if (w->stage)
		timer_arm(&w->timer, clock_now(timerq_clock(w->timers)) + stage_ns(w));
	else
		timer_cancel(&w->timer);
}

static void due(void *opaque)
{
	struct i6300esb *w = opaque;
	bool over = false;
	pthread_mutex_lock(&w->lock);
	if (w->stage == 1 && !timer_armed(&w->timer)) {
		w->status |= STATUS_STAGE1;
		start(w, 2);
	} else if (w->stage == 2 && !timer_armed(&w->timer)) {
		over = !w->quiet;
		w->timed_out |= over;
		start(w, w->free_run ? 1 : 0);
	}
	pthread_mutex_unlock(&w->lock);
	if (over)
		vm_request(w->vm, VM_REQUEST_WATCHDOG);
}

/* ---- registers ---- */

static uint64_t mem_read(void *opaque, uint64_t off, unsigned width)
{
	struct i6300esb *w = opaque;
	uint32_t v = 0;
	switch (off & ~3u) {
	case M_PRELOAD1: v = w->preload[0]; break;
	case M_PRELOAD2: v = w->preload[1]; break;
	case M_STATUS: v = w->status; break;
	case M_RELOAD: v = w->timed_out ? TIMED_OUT : 0; break;
	}
	return v >> 8 * (off & 3);
}

static void reload_write(struct i6300esb *w, uint32_t v)
{
	if (v == UNLOCK1) {
		w->unlocked = 1;
		return;
	}
	if (v == UNLOCK2 && w->unlocked == 1) {
		w->unlocked = 2;
		return;
	}
	if (w->unlocked == 2) {
		if ((v & RELOAD) && w->enabled)
			start(w, 1);
		if (v & TIMED_OUT)
			w->timed_out = false;
	}
	w->unlocked = 0;
}

static void mem_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct i6300esb *w = opaque;
	uint32_t v = (uint32_t)value;
	if (off == M_RELOAD) {
		reload_write(w, v);
	} else if (off == M_STATUS) {
		w->status &= ~v;
	} else if ((off == M_PRELOAD1 || off == M_PRELOAD2) && width == 4) {
		if (w->unlocked == 2)
			w->preload[off == M_PRELOAD2] = v & PRELOAD_MAX;
		w->unlocked = 0;
	}
}

static const struct region_ops mem_ops = {.read = mem_read, .write = mem_write, .width_min = 1, .width_max = 4};

/* Locked, the lock register stays as it is until a reset. The host's lock is held. */
static void config_written(struct pci_dev *d, unsigned off, unsigned width)
{
	struct i6300esb *w = container_of(d, struct i6300esb, pci);
	uint16_t config = load_le16(&d->config[C_CONFIG]);
	uint8_t lock = d->config[C_LOCK];
	d->write_mask[C_LOCK] = lock & LOCK_LOCKED ? 0 : LOCK_BITS;
	pthread_mutex_lock(&w->lock);
	bool was = w->enabled;
	w->fast = config & CONFIG_FAST;
	w->quiet = config & CONFIG_NO_OUTPUT;
	w->free_run = lock & LOCK_FREE_RUN;
	w->enabled = lock & LOCK_ENABLED;
	if (was != w->enabled)
		start(w, 1);
	pthread_mutex_unlock(&w->lock);
}

/* ---- life ---- */

/* That the last run ended here is what a reset leaves. */
static void watchdog_reset(void *impl)
{
	struct i6300esb *w = impl;
	pthread_mutex_t *host = &pci_bus_root(w->pci.bus)->lock;
	pthread_mutex_lock(host);
	pci_dev_reset(&w->pci);
	config_written(&w->pci, 0, PCI_CONFIG_SIZE);
	pthread_mutex_unlock(host);
	pthread_mutex_lock(&w->lock);
	start(w, 0);
	w->preload[0] = w->preload[1] = PRELOAD_MAX;
	w->status = w->unlocked = 0;
	pthread_mutex_unlock(&w->lock);
}

static void watchdog_before_save(void *obj)
{
	struct i6300esb *w = obj;
	int64_t left = w->stage ? w->timer.deadline_ns - clock_now(timerq_clock(w->timers)) : 0;
	w->left_ns = w->stage ? (left > 0 ? (uint64_t)left : 1) : 0;
}

static int watchdog_loaded(void *obj, uint16_t version, struct err *e)
{
	struct i6300esb *w = obj;
	uint8_t stage = w->stage;
	w->pci.write_mask[C_LOCK] = LOCK_BITS;
	int rc = pci_dev_loaded(&w->pci, e);
	if (rc)
		return rc;
	if (stage > 2 || w->unlocked > 2 || w->left_ns > INT64_MAX / 2)
		return err_set(e, -EINVAL, "the saved watchdog is in no state that it can be in");
	w->preload[0] &= PRELOAD_MAX;
	w->preload[1] &= PRELOAD_MAX;
	config_written(&w->pci, 0, PCI_CONFIG_SIZE);
	start(w, stage);
	if (w->stage && w->left_ns)
		timer_arm(&w->timer, clock_now(timerq_clock(w->timers)) + (int64_t)w->left_ns);
	return 0;
}

static const struct state_field watchdog_fields[] = {
	STATE_ARRAY(struct i6300esb, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_FIELD(struct i6300esb, unlocked, STATE_U8), STATE_FIELD(struct i6300esb, stage, STATE_U8),
	STATE_FIELD(struct i6300esb, timed_out, STATE_BOOL), STATE_ARRAY(struct i6300esb, preload, STATE_U32, 2),
	STATE_FIELD(struct i6300esb, status, STATE_U32), STATE_FIELD(struct i6300esb, left_ns, STATE_U64), STATE_END,
};

static const struct state_desc watchdog_state = {
	.name = "i6300esb", .version = 1, .fields = watchdog_fields, .before_save = watchdog_before_save,
	.after_load = watchdog_loaded,
};

static void watchdog_destroy(void *impl)
{
	struct i6300esb *w = impl;
	timer_cancel(&w->timer);
	pci_dev_detach(&w->pci);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static const struct dev_type watchdog_type = {
	.name = "i6300esb", .destroy = watchdog_destroy, .reset = watchdog_reset, .state = &watchdog_state,
	.state_size = sizeof(struct i6300esb),
};

static void registers_init(struct i6300esb *w)
{
	struct pci_bar bar = {.size = M_SIZE, .ops = &mem_ops, .opaque = w, .lock = &w->lock};
	pci_bar_set(&w->pci, 0, &bar);
	store_le16(&w->pci.write_mask[C_CONFIG], CONFIG_BITS);
	w->pci.write_mask[C_LOCK] = LOCK_BITS;
	w->pci.config_written = config_written;
}

int i6300esb_create(struct vm *vm, const struct i6300esb_config *cfg, struct err *e)
{
	struct i6300esb *w = calloc(1, sizeof(*w));
	struct pci_ident id = {.vendor = VENDOR_INTEL, .device = DEVICE_6300ESB_WDT, .class_code = CLASS_OTHER};
	if (!w)
		return err_set(e, -ENOMEM, "no memory for the watchdog");
	w->vm = vm;
	w->timers = cfg->timers;
	w->preload[0] = w->preload[1] = PRELOAD_MAX;
	pthread_mutex_init(&w->lock, NULL);
	timer_init(&w->timer, cfg->timers, due, w);
	int rc = pci_dev_attach(&w->pci, cfg->bus, cfg->slot, 0, "watchdog", &id, e);
	if (!rc) {
		registers_init(w);
		rc = dev_attach(vm, &watchdog_type, NULL, w, e);
	}
	if (rc)
		watchdog_destroy(w);
	return rc;
}

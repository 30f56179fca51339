/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPUs write registers under the controller's lock; commands run on the loop of the image. A controller that is
 * disabled while commands are under way stays ready until they have ended, so that none of them touches memory later.
 */
#include "devices/storage/nvme_priv.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BAR = 0, BAR_MSIX = 4, BAR_SIZE = 0x4000, DOORBELLS = 0x1000, CLASS_NVME = 0x010802, REVISION = 1 };
enum { VENDOR = 0x1234, DEVICE = 0x4e56, SUBSYSTEM_VENDOR = 0x1af4, SUBSYSTEM = 0x1100 };
enum { R_CAP = 0x00, R_CAP_HIGH = 0x04, R_VS = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c,
       R_AQA = 0x24, R_ASQ = 0x28, R_ASQ_HIGH = 0x2c, R_ACQ = 0x30, R_ACQ_HIGH = 0x34 };
enum { VERSION = 0x10400, CAP_LOW = (NVME_ENTRIES - 1) | 1 << 16 /* contiguous queues */ | 20 << 24 /* 10 s */,
       CAP_HIGH = 1 << 5 /* the NVM command set */ };
enum { CC_CONFIG = 0x3ff0 /* command set, page size and arbitration: 0 is all there is */, AQA_KNOWN = 0x0fff0fff };
#define ADDRESS_LOW(old, v) (((old) & ~UINT64_C(0xffffffff)) | ((v) & 0xfffff000u))
#define ADDRESS_HIGH(old, v) (((old) & UINT64_C(0xffffffff)) | (uint64_t)(v) << 32)

void nvme_fatal(struct nvme *n, const char *why)
{
	log_limited(&n->limit, LOG_WARNING, "nvme: %s: the controller stops until the guest resets it", why);
	n->csts |= CSTS_CFS;
}

/* ---- shutdown: what was written becomes durable ---- */

static void flush_done(struct blk_req *req)
{
	struct nvme *n = req->opaque;

	pthread_mutex_lock(&n->lock);
	n->flushing = false;
	if ((n->csts & CSTS_SHST) == CSTS_SHST_BUSY)
		n->csts = (n->csts & ~(uint32_t)CSTS_SHST) | CSTS_SHST_DONE;
	pthread_mutex_unlock(&n->lock);
}

/* Lock held, loop's thread. */
static void shut_down(struct nvme *n)
{
	if ((n->csts & CSTS_SHST) != CSTS_SHST_BUSY || n->flushing || n->under_way)
		return;
	n->flushing = true;
	n->flush = (struct blk_req){ .op = BLK_FLUSH, .done = flush_done, .opaque = n };
	blk_submit(n->blk, &n->flush);
}

static void shut_down_posted(void *opaque)
{
	struct nvme *n = opaque;

	pthread_mutex_lock(&n->lock);
	shut_down(n);
	pthread_mutex_unlock(&n->lock);
}

static void post_shutdown(struct nvme *n)
{
	if (loop_post(n->loop, shut_down_posted, n) < 0)
		log_limited(&n->limit, LOG_ERROR, "nvme: no memory to shut the controller down");
}

void nvme_idle(struct nvme *n)
{
	if (!(n->cc & CC_EN))
		n->csts &= ~(uint32_t)CSTS_RDY;
	shut_down(n);
}

/* ---- enabling ---- */

static void enable(struct nvme *n)
{
	unsigned sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;

	if (n->cc & CC_CONFIG || sq < 2 || cq < 2 || !gmem_at(n->vm->mem, n->asq, (uint64_t)sq * NVME_SQE) ||
	    !gmem_at(n->vm->mem, n->acq, (uint64_t)cq * NVME_CQE)) {
		nvme_fatal(n, "it was enabled with values that it does not support");
		return;
	}
	n->sq[0] = (struct nvme_sq){ .on = true, .size = (uint16_t)sq, .addr = n->asq };
	n->cq[0] = (struct nvme_cq){ .on = true, .interrupts = true, .phase = true, .size = (uint16_t)cq,
				     .addr = n->acq };
	n->csts |= CSTS_RDY;
}

static void features_reset(struct nvme *n)
{
	memset(n->feature, 0, sizeof(n->feature));
	n->feature[NVME_F_CACHE] = 1;
	n->feature[NVME_F_TEMPERATURE] = 343;
}

static void disable(struct nvme *n)
{
	nvme_queues_off(n);
	features_reset(n);
	n->intm = 0;
	n->csts &= ~(uint32_t)CSTS_CFS;
	if (!n->under_way)
		n->csts &= ~(uint32_t)CSTS_RDY;
}

static void cc_write(struct nvme *n, uint32_t v)
{
	uint32_t old = n->cc;

	n->cc = v & (CC_KNOWN | CC_CONFIG);
	if (old & CC_EN && !(v & CC_EN)) {
		disable(n);
	} else if (!(old & CC_EN) && v & CC_EN) {
		if (n->csts & CSTS_RDY)
			nvme_fatal(n, "it was enabled before it was disabled");
		else
			enable(n);
	}
	if (v & CC_SHN && !(old & CC_SHN)) {
		n->csts = (n->csts & ~(uint32_t)CSTS_SHST) | CSTS_SHST_BUSY;
		post_shutdown(n);
	} else if (!(v & CC_SHN)) {
		n->csts &= ~(uint32_t)CSTS_SHST;
	}
}

/* ---- registers ---- */

static uint64_t bar_read(void *opaque, uint64_t off, unsigned width)
{
	struct nvme *n = opaque;

	switch (off) {
	case R_CAP: return CAP_LOW;
	case R_CAP_HIGH: return CAP_HIGH;
	case R_VS: return VERSION;
	case R_INTMS:
	case R_INTMC: return n->intm;
	case R_CC: return n->cc;
	case R_CSTS: return n->csts;
	case R_AQA: return n->aqa;
	case R_ASQ: return n->asq & UINT32_MAX;
	case R_ASQ_HIGH: return n->asq >> 32;
	case R_ACQ: return n->acq & UINT32_MAX;
	case R_ACQ_HIGH: return n->acq >> 32;
	}
	return 0;
}

static void register_write(struct nvme *n, uint64_t off, uint32_t v)
{
	switch (off) {
	case R_INTMS: n->intm |= v; break;
	case R_INTMC: n->intm &= ~v; break;
	case R_CC: cc_write(n, v); break;
	case R_AQA: n->aqa = v & AQA_KNOWN; break;
	case R_ASQ: n->asq = ADDRESS_LOW(n->asq, v); break;
	case R_ASQ_HIGH: n->asq = ADDRESS_HIGH(n->asq, v); break;
	case R_ACQ: n->acq = ADDRESS_LOW(n->acq, v); break;
	case R_ACQ_HIGH: n->acq = ADDRESS_HIGH(n->acq, v); break;
	default: return;
	}
	nvme_update_irq(n);
}

static void bar_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct nvme *n = opaque;
	unsigned bell = (unsigned)(off - DOORBELLS) / 4;

	if (off < DOORBELLS)
		register_write(n, off, (uint32_t)value);
	else if (bell / 2 < NVME_QUEUES && n->cc & CC_EN)
		nvme_doorbell(n, bell / 2, bell & 1, (uint32_t)value);
}

static const struct region_ops bar_ops = { .read = bar_read, .write = bar_write, .width_min = 4, .width_max = 4 };

/* ---- life ---- */

static void nvme_reset(void *impl)
{
	struct nvme *n = impl;

	pci_dev_reset(&n->pci);
	msix_reset(&n->msix);
	pthread_mutex_lock(&n->lock);
	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	disable(n);
	n->csts &= CSTS_RDY;
	pthread_mutex_unlock(&n->lock);
}

static void nvme_run_state(void *impl, bool running)
{
	struct nvme *n = impl;

	pthread_mutex_lock(&n->lock);
	n->running = running;
	if (running && (n->csts & CSTS_SHST) == CSTS_SHST_BUSY)
		post_shutdown(n);
	nvme_tell(n);
	nvme_post(n);
	pthread_mutex_unlock(&n->lock);
	if (!running)
		blk_wait(n->blk);
}

static void nvme_destroy(void *impl)
{
	struct nvme *n = impl;

	nvme_run_state(n, false);
	loop_unpost(n->loop, n);
	pci_dev_detach(&n->pci);
	msix_destroy(&n->msix);
	while (n->free) {
		struct nvme_req *r = n->free;

		n->free = r->next;
		free(r);
	}
	blk_close(n->blk);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* ---- saved state ---- */

static void nvme_before_save(void *obj)
{
	struct nvme *n = obj;

	for (unsigned q = 0; q < NVME_QUEUES; q++) {
		const struct nvme_sq *s = &n->sq[q];
		const struct nvme_cq *c = &n->cq[q];
		const uint64_t sv[5] = { s->on, s->size | (uint64_t)s->cq << 16, s->head, s->tail, s->addr };
		const uint64_t cv[7] = { c->on, c->size, c->head, c->tail, c->addr,
					 (uint64_t)c->interrupts | (uint64_t)c->phase << 1, c->vector };

		memcpy(n->saved_sq + 5 * q, sv, sizeof(sv));
		memcpy(n->saved_cq + 7 * q, cv, sizeof(cv));
	}
}

/* A queue that the guest could not have made is a broken stream. */
static bool load_queue(struct nvme *n, unsigned q)
{
	const uint64_t *sv = n->saved_sq + 5 * q, *cv = n->saved_cq + 7 * q;

	n->sq[q] = (struct nvme_sq){ .on = sv[0], .size = (uint16_t)sv[1], .cq = (uint16_t)(sv[1] >> 16),
				     .head = (uint16_t)sv[2], .tail = (uint16_t)sv[3], .addr = sv[4] };
	n->cq[q] = (struct nvme_cq){ .on = cv[0], .size = (uint16_t)cv[1], .head = (uint16_t)cv[2],
				     .tail = (uint16_t)cv[3], .addr = cv[4], .interrupts = cv[5] & 1,
				     .phase = cv[5] & 2, .vector = (uint16_t)cv[6] };
	struct nvme_sq *s = &n->sq[q];
	const struct nvme_cq *c = &n->cq[q];

	if (!s->on)
		*s = (struct nvme_sq){ 0 };
	bool s_good = !s->on || (s->size >= 2 && s->size <= 4096 && s->head < s->size && s->tail < s->size &&
				 s->cq < NVME_QUEUES && (q == 0) == (s->cq == 0) && n->saved_cq[7u * s->cq]);
	bool c_good = !c->on || (c->size >= 2 && c->size <= 4096 && c->head < c->size && c->tail < c->size &&
				 c->vector < NVME_QUEUES);

	return s_good && c_good;
}

static int nvme_loaded(void *obj, uint16_t version, struct err *e)
{
	struct nvme *n = obj;
	uint32_t aer_count = n->aer_count;
	bool ns_changed = n->ns_changed, ns_told = n->ns_told;
	bool good = aer_count <= NVME_AERS;
	int ret;

	nvme_queues_off(n);
	n->aer_count = aer_count;
	n->ns_changed = ns_changed;
	n->ns_told = ns_told;
	for (unsigned q = 0; q < NVME_QUEUES; q++) {
		n->queues_made |= q && (n->saved_sq[5 * q] || n->saved_cq[7 * q]);
		good &= load_queue(n, q);
	}
	if (!good) {
		nvme_queues_off(n);
		return err_set(e, -EINVAL, "%s: the saved state has queues that cannot be", n->pci.name);
	}
	n->cc &= CC_KNOWN | CC_CONFIG;
	n->csts &= CSTS_RDY | CSTS_CFS | CSTS_SHST;
	if (!(n->cc & CC_EN) && !n->under_way)
		n->csts &= ~(uint32_t)CSTS_RDY;
	n->aqa &= AQA_KNOWN;
	n->asq &= ~UINT64_C(0xfff);
	n->acq &= ~UINT64_C(0xfff);
	ret = pci_dev_loaded(&n->pci, e);
	if (ret == 0)
		ret = msix_loaded(&n->msix, e);
	nvme_update_irq(n);
	return ret;
}

static const struct state_field nvme_fields[] = {
	STATE_ARRAY(struct nvme, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct nvme, msix.table, STATE_BYTES, MSIX_MAX * MSIX_ENTRY),
	STATE_FIELD(struct nvme, msix.pending, STATE_U64), STATE_FIELD(struct nvme, intm, STATE_U32),
	STATE_FIELD(struct nvme, cc, STATE_U32), STATE_FIELD(struct nvme, csts, STATE_U32),
	STATE_FIELD(struct nvme, aqa, STATE_U32), STATE_FIELD(struct nvme, asq, STATE_U64),
	STATE_FIELD(struct nvme, acq, STATE_U64), STATE_ARRAY(struct nvme, feature, STATE_U32, NVME_FEATURES),
	STATE_ARRAY(struct nvme, aer, STATE_U16, NVME_AERS), STATE_FIELD(struct nvme, aer_count, STATE_U32),
	STATE_FIELD_SINCE(2, struct nvme, ns_changed, STATE_BOOL),
	STATE_FIELD_SINCE(2, struct nvme, ns_told, STATE_BOOL),
	STATE_FIELD(struct nvme, read_sectors, STATE_U64), STATE_FIELD(struct nvme, written_sectors, STATE_U64),
	STATE_FIELD(struct nvme, reads, STATE_U64), STATE_FIELD(struct nvme, writes, STATE_U64),
	STATE_ARRAY(struct nvme, saved_sq, STATE_U64, NVME_QUEUES * 5),
	STATE_ARRAY(struct nvme, saved_cq, STATE_U64, NVME_QUEUES * 7), STATE_END,
};

static const struct state_desc nvme_state = {
	.name = "nvme", .version = 2, .fields = nvme_fields, .before_save = nvme_before_save, .after_load = nvme_loaded,
};

static const struct dev_type nvme_type = {
	.name = "nvme", .destroy = nvme_destroy, .reset = nvme_reset, .run_state = nvme_run_state, .state = &nvme_state,
	.state_size = sizeof(struct nvme),
};

/* ---- creation ---- */

static int attach(struct nvme *n, const struct nvme_config *cfg, struct err *e)
{
	struct pci_ident id = { .vendor = VENDOR, .device = DEVICE, .class_code = CLASS_NVME, .revision = REVISION,
				.subsystem_vendor = SUBSYSTEM_VENDOR, .subsystem = SUBSYSTEM, .int_pin = 1 };
	int ret = pci_dev_attach(&n->pci, cfg->bus, cfg->slot, cfg->function, "nvme", &id, e);

	if (ret < 0)
		return ret;
	pci_bar_set(&n->pci, BAR, &(struct pci_bar){ .size = BAR_SIZE, .is_64 = true, .ops = &bar_ops, .opaque = n,
						     .lock = &n->lock });
	msix_init(&n->msix, &n->pci, BAR_MSIX, NVME_QUEUES);
	return dev_attach(n->vm, &nvme_type, NULL, n, e);
}

static void resized(void *opaque)
{
	struct nvme *n = opaque;

	pthread_mutex_lock(&n->lock);
	n->ns_changed = true;
	nvme_tell(n);
	pthread_mutex_unlock(&n->lock);
}

int nvme_create(struct vm *vm, const struct nvme_config *cfg, struct err *e)
{
	struct nvme *n = calloc(1, sizeof(*n));
	const char *serial = cfg->serial ? cfg->serial : blk_info(cfg->blk)->serial;
	int ret;

	if (!n)
		return err_set(e, -ENOMEM, "no memory for the NVMe controller");
	n->vm = vm;
	n->blk = cfg->blk;
	n->loop = blk_loop(cfg->blk);
	if (serial[0])
		snprintf(n->serial, sizeof(n->serial), "%s", serial);
	else
		snprintf(n->serial, sizeof(n->serial), "PANAL%u", cfg->slot);
	pthread_mutex_init(&n->lock, NULL);
	features_reset(n);
	ret = attach(n, cfg, e);
	if (ret < 0) {
		pci_dev_detach(&n->pci);
		msix_destroy(&n->msix);
		pthread_mutex_destroy(&n->lock);
		free(n);
		return ret;
	}
	blk_on_resize(n->blk, resized, n);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command is taken from its queue only when there is a request for it and room for its completion, so a completion
 * never has to wait. The guest's writes move tails and heads; entries are read on the image's loop.
 */
#include "devices/storage/nvme_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/vm.h"

#include <stdlib.h>

enum { ROUND_MAX = 256 };

/* ---- interrupts ---- */

void nvme_update_irq(struct nvme *n)
{
	bool level = false;

	for (unsigned q = 0; q < NVME_QUEUES; q++) {
		const struct nvme_cq *c = &n->cq[q];

		level |= c->on && c->interrupts && c->head != c->tail && !(n->intm >> (c->vector & 31) & 1);
	}
	pci_intx(&n->pci, level && !msix_enabled(&n->msix));
}

/* ---- requests ---- */

static struct nvme_req *request_get(struct nvme *n)
{
	struct nvme_req *r = n->free;

	if (r) {
		n->free = r->next;
		return r;
	}
	if (n->made == NVME_REQUESTS || !(r = calloc(1, sizeof(*r))))
		return NULL;
	n->made++;
	r->n = n;
	return r;
}

static void request_put(struct nvme_req *r)
{
	r->next = r->n->free;
	r->n->free = r;
}

static unsigned cq_room(const struct nvme_cq *c)
{
	unsigned used = (unsigned)(c->tail + c->size - c->head) % c->size;

	return c->size - 1u - used;
}

static void write_completion(struct nvme *n, unsigned q, uint16_t id, uint32_t result, uint16_t status)
{
	struct nvme_cq *c = &n->cq[n->sq[q].cq];
	uint8_t e[NVME_CQE] = { 0 };

	store_le32(e, result);
	store_le16(e + 8, n->sq[q].head);
	store_le16(e + 10, (uint16_t)q);
	store_le16(e + 12, id);
	store_le16(e + 14, (uint16_t)(status << 1 | c->phase));
	/* The driver polls the last dword, whose phase bit hands the entry over. */
	uint64_t at = c->addr + (uint64_t)c->tail * NVME_CQE;

	if (gmem_write(n->vm->mem, at, e, 12) || gmem_write(n->vm->mem, at + 12, e + 12, 4)) {
		nvme_fatal(n, "a completion queue is not in RAM");
		return;
	}
	if (++c->tail == c->size) {
		c->tail = 0;
		c->phase = !c->phase;
	}
	if (c->interrupts && msix_enabled(&n->msix))
		msix_notify(&n->msix, c->vector);
	else
		nvme_update_irq(n);
}

static void end_deletion(struct nvme_sq *s)
{
	struct nvme_req *d = s->deleting;

	if (!d || s->under_way)
		return;
	s->deleting = NULL;
	nvme_end(d, NVME_OK);
}

void nvme_end(struct nvme_req *r, uint16_t status)
{
	struct nvme *n = r->n;
	bool current = r->generation == n->generation;
	struct nvme_sq *s = &n->sq[r->sq];

	n->under_way--;
	if (current) {
		s->under_way--;
		n->cq[s->cq].reserved--;
		write_completion(n, r->sq, load_le16(r->cmd + 2), r->result, status);
	}
	request_put(r);
	if (current)
		end_deletion(s);
	if (!n->under_way)
		nvme_idle(n);
	nvme_post(n);
}

static bool may_work(const struct nvme *n)
{
	return n->running && n->cc & CC_EN && (n->csts & (CSTS_RDY | CSTS_CFS)) == CSTS_RDY;
}

enum { EVENT_NAMESPACE = 0x040002 /* a notice, namespace attributes, told more of by log 4 */, NOTICES = 1 << 8 };

void nvme_tell(struct nvme *n)
{
	const struct nvme_cq *c = &n->cq[0];

	if (!n->ns_changed || n->ns_told || !n->aer_count || !(n->feature[NVME_F_EVENTS] & NOTICES) || !c->on ||
	    cq_room(c) <= c->reserved || !may_work(n))
		return;
	n->ns_told = true;
	write_completion(n, 0, n->aer[--n->aer_count], EVENT_NAMESPACE, NVME_OK);
}

/* ---- submission ---- */

/* An asynchronous event request waits without using anything up. */
static bool keep_event_request(struct nvme *n, unsigned q, const uint8_t *cmd)
{
	if (q != 0 || cmd[0] != 0x0c || n->aer_count == NVME_AERS)
		return false;
	n->aer[n->aer_count++] = load_le16(cmd + 2);
	nvme_tell(n);
	return true;
}

/* Takes one command of the queue: false when there is none, or when it must wait. */
static bool take(struct nvme *n, unsigned q)
{
	struct nvme_sq *s = &n->sq[q];
	struct nvme_cq *c = &n->cq[s->cq];
	struct nvme_req *r;

	if (!s->on || s->deleting || s->head == s->tail || cq_room(c) <= c->reserved || !(r = request_get(n)))
		return false;
	if (gmem_read(n->vm->mem, s->addr + (uint64_t)s->head * NVME_SQE, r->cmd, NVME_SQE)) {
		request_put(r);
		nvme_fatal(n, "a submission queue is not in RAM");
		return false;
	}
	s->head = (uint16_t)((s->head + 1) % s->size);
	if (keep_event_request(n, q, r->cmd)) {
		request_put(r);
		return true;
	}
	r->sq = q;
	r->generation = n->generation;
	r->result = 0;
	s->under_way++;
	c->reserved++;
	n->under_way++;
	uint16_t status = q ? nvme_io(r) : nvme_admin(r);

	if (status != NVME_LATER)
		nvme_end(r, status);
	return true;
}

static void work(void *opaque)
{
	struct nvme *n = opaque;
	unsigned taken = 0;
	bool more = true;

	pthread_mutex_lock(&n->lock);
	blk_plug(n->blk);
	/* Ends of commands may ask for the next look; they get it in this round. */
	while (more && taken < ROUND_MAX) {
		more = false;
		for (unsigned q = 0; q < NVME_QUEUES && may_work(n); q++)
			if (take(n, q)) {
				more = true;
				taken++;
			}
	}
	n->posted = false;
	if (more)
		nvme_post(n);
	blk_unplug(n->blk);
	pthread_mutex_unlock(&n->lock);
}

static bool waiting(const struct nvme *n)
{
	for (unsigned q = 0; q < NVME_QUEUES; q++)
		if (n->sq[q].on && n->sq[q].head != n->sq[q].tail)
			return true;
	return false;
}

void nvme_post(struct nvme *n)
{
	if (n->posted || !may_work(n) || !waiting(n))
		return;
	n->posted = loop_post(n->loop, work, n) == 0;
	if (!n->posted)
		log_limited(&n->limit, LOG_ERROR, "nvme: no memory to start a command");
}

/* ---- doorbells ---- */

static void cq_head(struct nvme *n, unsigned queue, uint32_t head)
{
	struct nvme_cq *c = &n->cq[queue];

	if (!c->on || head >= c->size ||
	    (head + c->size - c->head) % c->size > (unsigned)(c->tail + c->size - c->head) % c->size) {
		log_limited(&n->limit, LOG_WARNING, "nvme: a wrong head %u for completion queue %u", head, queue);
		return;
	}
	c->head = (uint16_t)head;
	nvme_update_irq(n);
}

void nvme_doorbell(struct nvme *n, unsigned queue, bool cq, uint32_t value)
{
	struct nvme_sq *s = &n->sq[queue];

	value &= 0xffff;
	if (cq) {
		cq_head(n, queue, value);
	} else if (!s->on || value >= s->size) {
		log_limited(&n->limit, LOG_WARNING, "nvme: a wrong tail %u for submission queue %u", value, queue);
	} else {
		s->tail = (uint16_t)value;
	}
	nvme_tell(n);
	nvme_post(n);
}

void nvme_queues_off(struct nvme *n)
{
	n->generation++;
	/* A deletion that waited has nobody to tell. */
	for (unsigned q = 0; q < NVME_QUEUES; q++)
		if (n->sq[q].deleting) {
			n->under_way--;
			request_put(n->sq[q].deleting);
		}
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->aer_count = 0;
	n->ns_changed = n->ns_told = false;
	n->queues_made = false;
	nvme_update_irq(n);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/nvme_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/vm.h"

#include <stdio.h>

enum { A_DELETE_SQ = 0x00, A_CREATE_SQ = 0x01, A_GET_LOG = 0x02, A_DELETE_CQ = 0x04, A_CREATE_CQ = 0x05,
       A_IDENTIFY = 0x06, A_ABORT = 0x08, A_SET_FEATURES = 0x09, A_GET_FEATURES = 0x0a, A_EVENT = 0x0c };
enum { IDENTIFY_NAMESPACE = 0, IDENTIFY_CONTROLLER = 1, IDENTIFY_LIST = 2, IDENTIFY_DESCRIPTORS = 3,
       IDENTIFY_SIZE = 4096 };
enum { LOG_ERRORS = 1, LOG_HEALTH = 2, LOG_FIRMWARE = 3, LOG_NAMESPACES = 4, LOG_EFFECTS = 5, LOG_SIZE = 4096 };
enum { ENTRY_SIZES = 0x460000 /* of CC: 64 bytes of submission, 16 of completion */, ENTRY_SIZES_MASK = 0xff0000 };
enum { PHYSICALLY_CONTIGUOUS = 1, INTERRUPTS = 2 };

static uint32_t dword(const struct nvme_req *r, unsigned n)
{
	return load_le32(r->cmd + 4 * n);
}

/* ---- queues (5.3 to 5.6) ---- */

static uint16_t check_queue(const struct nvme_req *r, unsigned qid, bool exists)
{
	uint32_t entries = (dword(r, 10) >> 16) + 1;
	uint64_t addr = load_le64(r->cmd + 24);

	if (qid == 0 || qid >= NVME_QUEUES || exists)
		return NVME_QID_INVALID;
	if (entries < 2 || entries > NVME_ENTRIES)
		return NVME_QUEUE_SIZE;
	if (!(dword(r, 11) & PHYSICALLY_CONTIGUOUS) || (r->n->cc & ENTRY_SIZES_MASK) != ENTRY_SIZES)
		return NVME_INVALID_FIELD;
	return addr & (NVME_PAGE - 1) ? NVME_PRP_OFFSET : NVME_OK;
}

static uint16_t create_cq(struct nvme_req *r)
{
	struct nvme *n = r->n;
	unsigned qid = dword(r, 10) & 0xffff, vector = dword(r, 11) >> 16;
	uint16_t status = check_queue(r, qid, qid < NVME_QUEUES && n->cq[qid].on);

	if (status)
		return status;
	if (vector >= NVME_QUEUES || (vector && !msix_enabled(&n->msix)))
		return NVME_VECTOR_INVALID;
	n->cq[qid] = (struct nvme_cq){ .on = true, .interrupts = dword(r, 11) & INTERRUPTS, .phase = true,
				       .size = (uint16_t)((dword(r, 10) >> 16) + 1), .vector = (uint16_t)vector,
				       .addr = load_le64(r->cmd + 24) };
	n->queues_made = true;
	return NVME_OK;
}

static uint16_t create_sq(struct nvme_req *r)
{
	struct nvme *n = r->n;
	unsigned qid = dword(r, 10) & 0xffff, cq = dword(r, 11) >> 16;
	uint16_t status = check_queue(r, qid, qid < NVME_QUEUES && (n->sq[qid].on || n->sq[qid].deleting));

	if (status)
		return status;
	if (cq == 0 || cq >= NVME_QUEUES || !n->cq[cq].on)
		return NVME_CQ_INVALID;
	n->sq[qid] = (struct nvme_sq){ .on = true, .size = (uint16_t)((dword(r, 10) >> 16) + 1), .cq = (uint16_t)cq,
				       .addr = load_le64(r->cmd + 24) };
	n->queues_made = true;
	return NVME_OK;
}

static uint16_t delete_sq(struct nvme_req *r)
{
	unsigned qid = dword(r, 10) & 0xffff;
	struct nvme_sq *s = &r->n->sq[qid < NVME_QUEUES ? qid : 0];

	if (qid == 0 || qid >= NVME_QUEUES || !s->on)
		return NVME_QID_INVALID;
	s->on = false;
	if (!s->under_way)
		return NVME_OK;
	s->deleting = r;
	return NVME_LATER;
}

static uint16_t delete_cq(struct nvme_req *r)
{
	struct nvme *n = r->n;
	unsigned qid = dword(r, 10) & 0xffff;

	if (qid == 0 || qid >= NVME_QUEUES || !n->cq[qid].on)
		return NVME_QID_INVALID;
	for (unsigned q = 1; q < NVME_QUEUES; q++)
		if ((n->sq[q].on || n->sq[q].deleting) && n->sq[q].cq == qid)
			return NVME_QUEUE_DELETION;
	n->cq[qid].on = false;
	nvme_update_irq(n);
	return NVME_OK;
}

/* ---- IDENTIFY (5.15) ---- */

static void put_text(uint8_t *at, const char *text, size_t room)
{
	memset(at, ' ', room);
	memcpy(at, text, strnlen(text, room));
}

static void identify_controller(const struct nvme *n, uint8_t *d)
{
	store_le16(d, load_le16(&n->pci.config[PCI_VENDOR_ID]));
	store_le16(d + 2, load_le16(&n->pci.config[PCI_SUBSYSTEM_VENDOR]));
	put_text(d + 4, n->serial, 20);
	put_text(d + 24, "PANAL NVMe", 40);
	put_text(d + 64, "1.0", 8);
	d[72] = 6;                    /* arbitration burst */
	d[77] = NVME_MDTS;
	store_le32(d + 80, 0x10400);
	store_le32(d + 92, 1 << 8);   /* events: a namespace changed */
	d[111] = 1;                   /* an I/O controller */
	d[258] = 3;                   /* aborts at once, less one */
	d[259] = NVME_AERS - 1;
	d[260] = 3;                   /* one firmware slot, read-only */
	d[261] = 1 << 1 | 1 << 2;     /* effects log, offsets in logs */
	store_le16(d + 266, 343);     /* kelvins: warning, critical */
	store_le16(d + 268, 373);
	d[512] = 0x66;
	d[513] = 0x44;
	store_le32(d + 516, 1);       /* namespaces */
	store_le16(d + 520, 1 << 2 | 1 << 3); /* dataset management, write zeroes */
	d[525] = 7;                   /* volatile cache; a flush may name all namespaces */
	/* Two controllers with one name would pass for two ways to one disk. */
	snprintf((char *)d + 768, 256, "nqn.2026-01.org.panal:nvme:%s:%02x.%x", n->serial, n->pci.slot,
	         n->pci.function);
	store_le16(d + 2048, 2500);   /* power state 0: 25 W */
}

static void identify_namespace(const struct nvme *n, uint8_t *d)
{
	const struct blk_info *info = blk_info(n->blk);
	uint64_t blocks = info->size / BLK_SECTOR;

	store_le64(d, blocks);
	store_le64(d + 8, blocks);
	store_le64(d + 16, blocks);
	d[24] = info->can_discard ? 1 : 0;
	d[33] = 1 << 3;                /* write zeroes may deallocate */
	d[99] = info->read_only ? 1 : 0;
	store_le32(d + 128, 9 << 16);  /* format 0: blocks of 512 bytes */
	if (info->block_size_physical > BLK_SECTOR) {
		uint16_t preferred = (uint16_t)(info->block_size_physical / BLK_SECTOR - 1);

		d[24] |= 1 << 4;
		for (unsigned at = 64; at <= 72; at += 2)
			store_le16(d + at, preferred);
	}
}

/* A UUID (type 3) that stays the same over boots: from the serial number and the place (FNV-1a, twice). */
static void identify_descriptors(const struct nvme *n, uint8_t *d)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	d[0] = 3;
	d[1] = 16;
	for (unsigned half = 0; half < 2; half++) {
		for (const char *p = n->serial; *p; p++)
			h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
		h = (h ^ n->pci.slot) * UINT64_C(0x100000001b3);
		store_le64(d + 4 + 8 * half, h);
	}
	d[4 + 6] = (d[4 + 6] & 0x0f) | 0x80; /* version 8: made as its maker likes */
	d[4 + 8] = (d[4 + 8] & 0x3f) | 0x80;
}

static uint16_t reply(struct nvme_req *r, const void *data, uint64_t len)
{
	uint16_t status = nvme_map(r, len);

	if (status)
		return status;
	xfer_put(&r->x, data, len);
	xfer_written(&r->x);
	return NVME_OK;
}

static uint16_t identify(struct nvme_req *r)
{
	uint8_t d[IDENTIFY_SIZE] = { 0 };
	uint32_t nsid = dword(r, 1);
	unsigned what = dword(r, 10) & 0xff;
	bool one = what == IDENTIFY_NAMESPACE || what == IDENTIFY_DESCRIPTORS;

	if (one && nsid != 1 && !(nsid == (uint32_t)NVME_ALL && what == IDENTIFY_NAMESPACE))
		return NVME_INVALID_NAMESPACE;
	switch (what) {
	case IDENTIFY_NAMESPACE: identify_namespace(r->n, d); break;
	case IDENTIFY_CONTROLLER: identify_controller(r->n, d); break;
	case IDENTIFY_LIST:
		if (nsid >= 0xfffffffe)
			return NVME_INVALID_NAMESPACE;
		d[0] = nsid == 0; /* those above nsid */
		break;
	case IDENTIFY_DESCRIPTORS: identify_descriptors(r->n, d); break;
	default: return NVME_INVALID_FIELD;
	}
	return reply(r, d, sizeof(d));
}

/* ---- logs (5.14) ---- */

static void health_log(const struct nvme *n, uint8_t *d)
{
	store_le16(d + 1, 303); /* kelvins */
	d[3] = 100;             /* per cent of spare, and when to worry */
	d[4] = 10;
	/* Thousands of 512-byte units, rounded up. */
	store_le64(d + 32, n->read_sectors / 1000 + (n->read_sectors % 1000 > 0));
	store_le64(d + 48, n->written_sectors / 1000 + (n->written_sectors % 1000 > 0));
	store_le64(d + 64, n->reads);
	store_le64(d + 80, n->writes);
}

static void effects_log(uint8_t *d)
{
	static const uint8_t admin[] = { A_DELETE_SQ, A_CREATE_SQ, A_GET_LOG, A_DELETE_CQ, A_CREATE_CQ, A_IDENTIFY,
					 A_ABORT, A_SET_FEATURES, A_GET_FEATURES, A_EVENT };
	static const uint8_t io[] = { 0x00, 0x01, 0x02, 0x08, 0x09 }, changing[] = { 0x01, 0x08, 0x09 };

	for (size_t n = 0; n < sizeof(admin); n++)
		d[admin[n] * 4] = 1;
	for (size_t n = 0; n < sizeof(io); n++)
		d[1024 + io[n] * 4] = 1;
	for (size_t n = 0; n < sizeof(changing); n++)
		d[1024 + changing[n] * 4] |= 2;
}

/* Read, it is empty again, and the next change is told of; bit 15 (RAE) says that this is no reading. */
static void namespaces_log(struct nvme *n, uint8_t *d, bool keep)
{
	store_le32(d, n->ns_changed);
	if (!keep)
		n->ns_changed = n->ns_told = false;
}

static uint16_t get_log(struct nvme_req *r)
{
	uint8_t d[LOG_SIZE] = { 0 };
	uint64_t len = ((uint64_t)(dword(r, 11) & 0xffff) << 16 | dword(r, 10) >> 16) * 4 + 4;
	uint64_t off = load_le64(r->cmd + 48), size = LOG_SIZE;

	switch (dword(r, 10) & 0xff) {
	case LOG_ERRORS: size = 64; break;
	case LOG_HEALTH:
		size = 512;
		health_log(r->n, d);
		break;
	case LOG_FIRMWARE:
		size = 512;
		d[0] = 1;
		put_text(d + 8, "1.0", 8);
		break;
	case LOG_NAMESPACES: namespaces_log(r->n, d, dword(r, 10) >> 15 & 1); break;
	case LOG_EFFECTS: effects_log(d); break;
	default: return NVME_LOG_INVALID;
	}
	if (off & 3 || off >= size)
		return NVME_INVALID_FIELD;
	return reply(r, d + off, len < size - off ? len : size - off);
}

/* ---- features (5.13, 5.21) ---- */

static uint16_t set_queues(struct nvme_req *r)
{
	uint32_t v = dword(r, 11);

	if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff)
		return NVME_INVALID_FIELD;
	if (r->n->queues_made)
		return NVME_SEQUENCE_ERROR;
	r->result = (NVME_IO_QUEUES - 1) << 16 | (NVME_IO_QUEUES - 1);
	return NVME_OK;
}

static uint16_t set_features(struct nvme_req *r)
{
	uint32_t v = dword(r, 11);

	if (dword(r, 10) >> 31)
		return NVME_NOT_SAVEABLE;
	switch (dword(r, 10) & 0xff) {
	case NVME_F_QUEUES: return set_queues(r);
	case NVME_F_CACHE: r->n->feature[NVME_F_CACHE] = v & 1; break;
	case NVME_F_POWER:
		if (v & 0x1f)
			return NVME_INVALID_FIELD;
		break;
	case NVME_F_ARBITRATION:
	case NVME_F_RECOVERY:
	case NVME_F_COALESCING:
	case NVME_F_ATOMICITY:
	case NVME_F_EVENTS:
		r->n->feature[dword(r, 10) & 0xff] = v;
		nvme_tell(r->n);
		break;
	case NVME_F_TEMPERATURE:
		if (!(v & 0x300000)) /* the upper threshold of the one sensor */
			r->n->feature[NVME_F_TEMPERATURE] = v & 0xffff;
		break;
	case NVME_F_VECTOR:
		if ((v & 0xffff) >= NVME_QUEUES)
			return NVME_INVALID_FIELD;
		break;
	default: return NVME_INVALID_FIELD;
	}
	return NVME_OK;
}

static uint16_t get_features(struct nvme_req *r)
{
	unsigned f = dword(r, 10) & 0xff;

	switch (f) {
	case NVME_F_QUEUES: r->result = (NVME_IO_QUEUES - 1) << 16 | (NVME_IO_QUEUES - 1); break;
	case NVME_F_VECTOR:
		if ((dword(r, 11) & 0xffff) >= NVME_QUEUES)
			return NVME_INVALID_FIELD;
		r->result = (dword(r, 11) & 0xffff) | 1 << 16; /* no coalescing */
		break;
	case NVME_F_TEMPERATURE: r->result = dword(r, 11) & 0x300000 ? 0 : r->n->feature[f]; break;
	case NVME_F_POWER: break;
	case NVME_F_ARBITRATION:
	case NVME_F_RECOVERY:
	case NVME_F_CACHE:
	case NVME_F_COALESCING:
	case NVME_F_ATOMICITY:
	case NVME_F_EVENTS: r->result = r->n->feature[f]; break;
	default: return NVME_INVALID_FIELD;
	}
	return NVME_OK;
}

uint16_t nvme_admin(struct nvme_req *r)
{
	if (r->cmd[1] & 3) /* fused */
		return NVME_INVALID_FIELD;
	switch (r->cmd[0]) {
	case A_DELETE_SQ: return delete_sq(r);
	case A_CREATE_SQ: return create_sq(r);
	case A_GET_LOG: return get_log(r);
	case A_DELETE_CQ: return delete_cq(r);
	case A_CREATE_CQ: return create_cq(r);
	case A_IDENTIFY: return identify(r);
	case A_ABORT: r->result = 1; return NVME_OK; /* not aborted: what runs ends by itself (5.1) */
	case A_SET_FEATURES: return set_features(r);
	case A_GET_FEATURES: return get_features(r);
	case A_EVENT: return NVME_AER_LIMIT; /* those below the limit do not come here */
	}
	return NVME_INVALID_OPCODE;
}

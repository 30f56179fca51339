/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/storage/nvme_priv.h"

#include "base/bytes.h"
#include "core/gmem.h"
#include "core/vm.h"

#include <errno.h>

enum { O_FLUSH = 0x00, O_WRITE = 0x01, O_READ = 0x02, O_WRITE_ZEROES = 0x08, O_DATASET = 0x09 };
enum { DATASET_DEALLOCATE = 1 << 2 };
#define FUA (1u << 30)

/* ---- PRPs (4.3) ---- */

/* The pages of a list, left bytes of them; the last entry of a page of the list leads to the next one. */
static uint16_t map_list(struct nvme_req *r, uint64_t list, uint64_t left)
{
	struct gmem *mem = r->n->vm->mem;
	uint8_t e[8];

	if (list & 7)
		return NVME_PRP_OFFSET;
	while (left) {
		bool leads = (list & (NVME_PAGE - 1)) == NVME_PAGE - 8 && left > NVME_PAGE;
		uint64_t take = left < NVME_PAGE ? left : NVME_PAGE;

		if (gmem_read(mem, list, e, 8))
			return NVME_TRANSFER_ERROR;
		uint64_t at = load_le64(e);

		if (at & (NVME_PAGE - 1))
			return NVME_PRP_OFFSET;
		if (leads) {
			/* Each page of a list but the last holds data pages too, unless it is entered at its end. */
			if (!gmem_at(mem, at, NVME_PAGE))
				return NVME_TRANSFER_ERROR;
			list = at;
			continue;
		}
		if (!xfer_add_guest(&r->x, at, take))
			return NVME_TRANSFER_ERROR;
		left -= take;
		list += 8;
	}
	return NVME_OK;
}

uint16_t nvme_map(struct nvme_req *r, uint64_t len)
{
	uint64_t prp1 = load_le64(r->cmd + 24), prp2 = load_le64(r->cmd + 32);
	uint64_t first = NVME_PAGE - (prp1 & (NVME_PAGE - 1));

	xfer_reset(&r->x, r->n->vm->mem);
	if (r->cmd[1] & 0xc0 || len > NVME_TRANSFER) /* SGLs */
		return NVME_INVALID_FIELD;
	if (prp1 & 3)
		return NVME_PRP_OFFSET;
	if (first > len)
		first = len;
	if (!xfer_add_guest(&r->x, prp1, first))
		return NVME_TRANSFER_ERROR;
	len -= first;
	if (len > NVME_PAGE)
		return map_list(r, prp2, len);
	if (len && prp2 & (NVME_PAGE - 1))
		return NVME_PRP_OFFSET;
	return len && !xfer_add_guest(&r->x, prp2, len) ? NVME_TRANSFER_ERROR : NVME_OK;
}

/* ---- block requests ---- */

static void transfer_done(struct xfer *x)
{
	struct nvme_req *r = x->opaque;
	struct nvme *n = r->n;
	uint16_t status = NVME_OK;

	if (x->result)
		status = r->cmd[0] == O_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
	pthread_mutex_lock(&n->lock);
	nvme_end(r, status);
	pthread_mutex_unlock(&n->lock);
}

static uint16_t start(struct nvme_req *r, enum blk_op op, uint64_t offset, uint64_t len, bool fua)
{
	r->x.done = transfer_done;
	r->x.opaque = r;
	xfer_start(&r->x, r->n->blk, op, offset, len, fua);
	return NVME_LATER;
}

/* The blocks of the command as bytes; false: the namespace has no such. */
static bool range_of(const struct nvme_req *r, uint64_t *offset, uint64_t *len)
{
	uint64_t lba = load_le64(r->cmd + 40), size = blk_info(r->n->blk)->size;

	*len = (load_le16(r->cmd + 48) + UINT64_C(1)) * BLK_SECTOR;
	*offset = lba * BLK_SECTOR;
	return lba <= size / BLK_SECTOR && range_inside(*offset, *len, size);
}

static uint16_t read_write(struct nvme_req *r)
{
	struct nvme *n = r->n;
	bool write = r->cmd[0] == O_WRITE;
	uint64_t offset, len;
	bool good = range_of(r, &offset, &len);
	uint16_t status = nvme_map(r, len);

	if (status)
		return status;
	if (!good)
		return NVME_LBA_RANGE;
	if (write && blk_info(n->blk)->read_only)
		return NVME_WRITE_PROTECTED;
	*(write ? &n->writes : &n->reads) += 1;
	*(write ? &n->written_sectors : &n->read_sectors) += len / BLK_SECTOR;
	return start(r, write ? BLK_WRITE : BLK_READ, offset, len,
	             write && (load_le32(r->cmd + 48) & FUA || !n->feature[NVME_F_CACHE]));
}

static uint16_t write_zeroes(struct nvme_req *r)
{
	uint64_t offset, len;

	if (!range_of(r, &offset, &len))
		return NVME_LBA_RANGE;
	if (blk_info(r->n->blk)->read_only)
		return NVME_WRITE_PROTECTED;
	return start(r, BLK_WRITE_ZEROES, offset, len,
	             load_le32(r->cmd + 48) & FUA || !r->n->feature[NVME_F_CACHE]);
}

/* ---- dataset management: ranges one after the other ---- */

static uint16_t next_range(struct nvme_req *r);

static void range_done(struct xfer *x)
{
	struct nvme_req *r = x->opaque;
	struct nvme *n = r->n;
	uint16_t status;

	pthread_mutex_lock(&n->lock);
	/* It is advice: what cannot be deallocated stays. */
	status = x->result && x->result != -EOPNOTSUPP ? (uint16_t)NVME_WRITE_FAULT : next_range(r);
	if (status != NVME_LATER)
		nvme_end(r, status);
	pthread_mutex_unlock(&n->lock);
}

static uint16_t next_range(struct nvme_req *r)
{
	uint64_t size = blk_info(r->n->blk)->size;

	while (r->range < r->range_count) {
		const uint8_t *e = r->ranges + (size_t)NVME_RANGE * r->range++;
		uint64_t lba = load_le64(e + 8), len = (uint64_t)load_le32(e + 4) * BLK_SECTOR;

		if (lba > size / BLK_SECTOR || !range_inside(lba * BLK_SECTOR, len, size))
			return NVME_LBA_RANGE;
		if (!len)
			continue;
		r->x.done = range_done;
		r->x.opaque = r;
		xfer_start(&r->x, r->n->blk, BLK_DISCARD, lba * BLK_SECTOR, len, false);
		return NVME_LATER;
	}
	return NVME_OK;
}

static uint16_t dataset(struct nvme_req *r)
{
	uint64_t len;
	uint16_t status;

	r->range = 0;
	r->range_count = r->cmd[40] + 1u;
	len = (uint64_t)r->range_count * NVME_RANGE;
	status = nvme_map(r, len);
	if (status)
		return status;
	if (xfer_get(&r->x, r->ranges, len) != len)
		return NVME_TRANSFER_ERROR;
	if (!(load_le32(r->cmd + 44) & DATASET_DEALLOCATE) || !blk_info(r->n->blk)->can_discard)
		return NVME_OK;
	return blk_info(r->n->blk)->read_only ? (uint16_t)NVME_WRITE_PROTECTED : next_range(r);
}

uint16_t nvme_io(struct nvme_req *r)
{
	uint32_t nsid = load_le32(r->cmd + 4);

	xfer_reset(&r->x, r->n->vm->mem);
	if (r->cmd[1] & 3) /* fused */
		return NVME_INVALID_FIELD;
	if (nsid != 1 && !(nsid == (uint32_t)NVME_ALL && r->cmd[0] == O_FLUSH))
		return NVME_INVALID_NAMESPACE;
	switch (r->cmd[0]) {
	case O_FLUSH: return start(r, BLK_FLUSH, 0, 0, false);
	case O_READ:
	case O_WRITE: return read_write(r);
	case O_WRITE_ZEROES: return write_zeroes(r);
	case O_DATASET: return dataset(r);
	}
	return NVME_INVALID_OPCODE;
}

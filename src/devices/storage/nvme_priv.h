/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the NVMe controller share: nvme.c has registers and life, nvme_queue.c queues and requests,
 * nvme_admin.c and nvme_io.c the commands. Numbers and names are NVM Express 1.4's.
 */
#ifndef PANAL_DEVICES_STORAGE_NVME_PRIV_H
#define PANAL_DEVICES_STORAGE_NVME_PRIV_H

#include "base/log.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci.h"
#include "devices/storage/nvme.h"
#include "devices/storage/xfer.h"

enum { NVME_IO_QUEUES = 16, NVME_QUEUES = NVME_IO_QUEUES + 1 /* the admin queue is number 0 */ };
enum { NVME_ENTRIES = 1024, NVME_SQE = 64, NVME_CQE = 16, NVME_PAGE = 4096, NVME_REQUESTS = 128 };
enum { NVME_MDTS = 7 /* 2^7 pages a transfer */, NVME_TRANSFER = NVME_PAGE << NVME_MDTS, NVME_AERS = 4 };
enum { NVME_RANGES = 256, NVME_RANGE = 16, NVME_FEATURES = 16, NVME_ALL = (int)0xffffffffu };

enum { CSTS_RDY = 1, CSTS_CFS = 2, CSTS_SHST = 0x0c, CSTS_SHST_BUSY = 0x04, CSTS_SHST_DONE = 0x08 };
enum { CC_EN = 1, CC_SHN = 0xc000, CC_KNOWN = 0x00ffc7f1 /* EN, CSS, MPS, SHN, IOSQES, IOCQES; AMS stays 0 */ };

/* Status of a completion: code, type at bit 8, "do not retry" at bit 14 (4.6.1). */
enum nvme_status {
	NVME_OK = 0,
	NVME_INVALID_OPCODE = 0x4001,
	NVME_INVALID_FIELD = 0x4002,
	NVME_TRANSFER_ERROR = 0x0004,
	NVME_INVALID_NAMESPACE = 0x400b,
	NVME_SEQUENCE_ERROR = 0x400c,
	NVME_PRP_OFFSET = 0x4013,
	NVME_WRITE_PROTECTED = 0x4020,
	NVME_LBA_RANGE = 0x4080,
	NVME_CQ_INVALID = 0x4100,
	NVME_QID_INVALID = 0x4101,
	NVME_QUEUE_SIZE = 0x4102,
	NVME_AER_LIMIT = 0x4105,
	NVME_VECTOR_INVALID = 0x4108,
	NVME_LOG_INVALID = 0x4109,
	NVME_QUEUE_DELETION = 0x410c,
	NVME_NOT_SAVEABLE = 0x410d,
	NVME_WRITE_FAULT = 0x0280,
	NVME_READ_ERROR = 0x0281,
	NVME_LATER = 0xffff, /* no completion yet: a request is under way, or waits */
};

enum nvme_feature {
	NVME_F_ARBITRATION = 1, NVME_F_POWER = 2, NVME_F_TEMPERATURE = 4, NVME_F_RECOVERY = 5, NVME_F_CACHE = 6,
	NVME_F_QUEUES = 7, NVME_F_COALESCING = 8, NVME_F_VECTOR = 9, NVME_F_ATOMICITY = 10, NVME_F_EVENTS = 11,
};

struct nvme;

struct nvme_req {
	struct nvme_req *next; /* free list */
	struct nvme *n;
	unsigned sq, generation;
	uint8_t cmd[NVME_SQE];
	uint32_t result; /* command specific, dword 0 of the completion */
	struct xfer x;
	/* dataset management */
	uint8_t ranges[NVME_RANGES * NVME_RANGE];
	unsigned range, range_count;
};

struct nvme_sq {
	bool on;
	uint16_t size, head, tail, cq; /* size: entries */
	uint64_t addr;
	unsigned under_way;
	struct nvme_req *deleting; /* the command that waits for the others to end */
};

struct nvme_cq {
	bool on, interrupts, phase;
	uint16_t size, head, tail, vector;
	uint64_t addr;
	unsigned reserved; /* entries that commands under way will need */
};

struct nvme {
	struct pci_dev pci;
	struct msix msix;
	/* constant */
	struct vm *vm;
	struct blk *blk;
	struct loop *loop;
	char serial[NVME_SERIAL + 1];
	struct log_limit limit;
	/* lock; it comes before msix's and the PCI lines' */
	pthread_mutex_t lock;
	uint32_t intm, cc, csts, aqa;
	uint64_t asq, acq;
	struct nvme_sq sq[NVME_QUEUES];
	struct nvme_cq cq[NVME_QUEUES];
	uint32_t feature[NVME_FEATURES];
	uint16_t aer[NVME_AERS]; /* command identifiers that wait for an event */
	uint32_t aer_count;
	/* The namespace has another size: the driver is not told yet; and is, but has not read the log since. */
	bool ns_changed, ns_told;
	uint64_t read_sectors, written_sectors, reads, writes;
	bool running, posted, queues_made;
	unsigned generation; /* commands of an earlier one are forgotten */
	unsigned under_way;
	struct nvme_req *free;
	unsigned made;
	struct blk_req flush; /* of the shutdown */
	bool flushing;
	/* saved state only */
	uint64_t saved_sq[NVME_QUEUES * 5], saved_cq[NVME_QUEUES * 7];
};

/* All of these with the lock held, on the loop's thread where they touch requests. */

/* nvme.c */
void nvme_fatal(struct nvme *n, const char *why);
/* Nothing is under way any more: a pending reset or shutdown goes on. */
void nvme_idle(struct nvme *n);

/* nvme_queue.c */
void nvme_post(struct nvme *n); /* has the queues looked at; any thread */
void nvme_update_irq(struct nvme *n);
void nvme_doorbell(struct nvme *n, unsigned queue, bool cq, uint32_t value);
void nvme_queues_off(struct nvme *n);
/* Tells the driver of a changed namespace, if it wants to know and has left a command for that. */
void nvme_tell(struct nvme *n);
/* Ends a command. */
void nvme_end(struct nvme_req *r, uint16_t status);

/* nvme_admin.c, nvme_io.c: execute; NVME_LATER: nvme_end is or was called by them. */
uint16_t nvme_admin(struct nvme_req *r);
uint16_t nvme_io(struct nvme_req *r);
/* The pieces of guest memory that the command's PRPs name, len bytes, at most NVME_TRANSFER. */
uint16_t nvme_map(struct nvme_req *r, uint64_t len);

#endif

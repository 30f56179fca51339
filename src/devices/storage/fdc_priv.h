/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The controller's state: what fdc.c (registers, life) and fdc_command.c share. */
#ifndef PANAL_DEVICES_STORAGE_FDC_PRIV_H
#define PANAL_DEVICES_STORAGE_FDC_PRIV_H

#include "block/block.h"
#include "devices/storage/fdc.h"

#include <pthread.h>

/* IDLE takes command bytes; MOVE waits for the image or the DMA; PIO for the processor; RESULT gives bytes. */
enum fdc_phase { FDC_IDLE, FDC_MOVE, FDC_PIO, FDC_RESULT };
enum { FDC_FIFO = 16, FDC_ALL_DRIVES = 4, FDC_SECTOR = 512 };
enum { DOR_DRIVE = 3, DOR_RUN = 0x04, DOR_DMA = 0x08 };
enum { MSR_BUSY = 0x10, MSR_PIO = 0x20, MSR_READ = 0x40, MSR_READY = 0x80 };

struct fdc_format {
	uint32_t kib;
	uint8_t cylinders, heads, sectors, rate; /* rate: what CCR must hold, in any drive that takes it */
	enum fdc_type type;
};

struct fdc {
	struct vm *vm;
	struct fdc_config cfg;
	struct region_handle *region[2];
	pthread_mutex_t lock; /* guards all below; held while irq is driven; not while the image is waited for */
	struct fdc_drive handle[FDC_DRIVES];
	struct blk *blk[FDC_DRIVES];
	const struct fdc_format *format[FDC_DRIVES]; /* NULL: no medium */
	enum fdc_type type[FDC_DRIVES];
	bool running, posted, busy /* req is under way */, forgotten /* and its result matters no more */;
	struct blk_req req;
	struct iovec iov;
	uint8_t io[FDC_SECTOR]; /* the request's own: a reset meanwhile lets the guest fill data anew */
	/* saved from here on */
	uint8_t dor, tape, rate, precomp;
	uint8_t phase, fifo[FDC_FIFO], fifo_at, fifo_len;
	uint8_t specify[2], config[2], perpendicular;
	bool locked, irq;
	uint8_t track[FDC_ALL_DRIVES];
	uint8_t reset_left;           /* drives whose state after a reset was not asked for yet */
	uint8_t seeked, seek_status[FDC_ALL_DRIVES]; /* bit: drive that reached its track */
	bool changed[FDC_ALL_DRIVES]; /* since the head last moved */
	/* the command under way */
	uint8_t command, head, c, h, r, n, eot, left, filler, st1, st2;
	uint16_t pio_at;
	bool loaded; /* data holds what is to be written */
	bool last;   /* and it is the last */
	uint8_t data[FDC_SECTOR];
};

/* A byte of a command, or of its data; the next byte of its data or its result. The lock is held. */
void fdc_put(struct fdc *f, uint8_t v);
uint8_t fdc_get(struct fdc *f);
/* The command under way takes data from the guest. */
bool fdc_writes(const struct fdc *f);
/* Everything forgotten, as by the reset line or bit; what LOCK keeps is kept unless hard. */
void fdc_clear(struct fdc *f, bool hard);
void fdc_irq(struct fdc *f, bool level);
/* Has the command go on, on the loop. */
void fdc_post(struct fdc *f);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IDE controller's parts: ide.c has the PCI function, bus mastering and life, ide_channel.c what a channel does. */
#ifndef PANAL_DEVICES_STORAGE_IDE_PRIV_H
#define PANAL_DEVICES_STORAGE_IDE_PRIV_H

#include "base/log.h"
#include "devices/pci/pci.h"
#include "devices/storage/ata.h"
#include "devices/storage/ide.h"

#include <pthread.h>

/* What PIO moves is fetched or stored in pieces of so much. */
enum { IDE_BUFFER = 32768, IDE_PIECE = IDE_BUFFER / 512, IDE_CD_PIECE = IDE_BUFFER / 2048 };
enum { BM_START = 1, BM_TO_MEMORY = 8 };                       /* command */
enum { BM_ACTIVE = 1, BM_ERROR = 2, BM_INTERRUPT = 4, BM_CAPABLE = 0x60 }; /* status */
enum { CONTROL_NO_INTERRUPT = 2, CONTROL_RESET = 4, CONTROL_HIGH = 0x80 };

enum ide_phase {
	IDE_IDLE,
	IDE_IN,     /* the guest reads the buffer */
	IDE_OUT,    /* the guest writes it */
	IDE_CDB,    /* the guest writes a packet */
	IDE_DMA,    /* a command waits for the bus master */
	IDE_WORK,   /* a command, or a piece of one, is to run, or runs */
	IDE_PHASES,
};

struct ide;
struct loop;
struct region_handle;

/* Task file and transfer. */
struct ide_regs {
	uint8_t feature[2], count[2], low[2], mid[2], high[2]; /* [1]: what was there before the last write */
	uint8_t device, control, status, error, command;
	uint8_t phase, irq;
	uint8_t dma;   /* the command moves its data by the bus master */
	uint8_t out;   /* by PIO, from the guest */
	uint8_t bm_command, bm_status;
	uint8_t packet[SCSI_CDB];
};

enum ide_word { W_AT, W_BLOCK_END, W_FILLED, W_BLOCK, W_LEFT, W_PRDT, W_COUNT };

struct ide_channel {
	struct ide *h;
	unsigned n;
	bool present[IDE_DRIVES];
	struct ata_drive drive[IDE_DRIVES];
	struct loop *loop[IDE_DRIVES];
	struct irq wire;
	/* the controller's lock */
	struct ide_regs r;
	uint32_t w[W_COUNT]; /* position in the buffer, end of this block, bytes in it, block size, sectors left */
	uint64_t lba;        /* of the next piece */
	uint8_t buffer[IDE_BUFFER];
	bool running;        /* op is under way: the loop's thread has it */
	bool forgotten;      /* ... and what it brings does not count */
	bool posted;
	struct loop *posted_to;
	struct ata_op *op;
};

struct ide {
	struct pci_dev pci;
	struct vm *vm;
	struct log_limit limit;
	pthread_mutex_t lock;
	bool running;
	struct ide_channel channel[IDE_CHANNELS];
	struct region_handle *region[IDE_CHANNELS][2];
};

/* With the lock held. off counts from the first port of the channel's block. */
uint32_t ide_read(struct ide_channel *c, unsigned off, unsigned width);
void ide_write(struct ide_channel *c, unsigned off, unsigned width, uint32_t v);
uint8_t ide_status(const struct ide_channel *c); /* without taking the interrupt back */
void ide_control(struct ide_channel *c, uint8_t v);
void ide_bm_command(struct ide_channel *c, uint8_t v);
void ide_channel_reset(struct ide_channel *c);
void ide_update_irq(struct ide_channel *c);
/* Has what is to run run, if anything is. */
void ide_post(struct ide_channel *c);
/* op->done. Without the lock. */
void ide_piece_done(struct ata_op *op);

#endif

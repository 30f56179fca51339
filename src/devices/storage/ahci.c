/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPUs write registers under the controller's lock; commands run on the loop of the port's image, one at a time unless
 * they are queued (NCQ). A port that is stopped or reset while commands are under way keeps PxCMD.CR until they have
 * ended, as hardware does, and forgets what they bring.
 */
#include "devices/storage/ahci.h"

#include "base/bytes.h"
#include "base/log.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "devices/storage/ata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 32, BAR = 5, ABAR_SIZE = 0x1000, PORT_AT = 0x100, PORT_SIZE = 0x80, CLASS_AHCI = 0x010601 };
enum { VENDOR_INTEL = 0x8086, DEVICE_ICH9_AHCI = 0x2922, REVISION = 2 };
/* HBA registers */
enum { R_CAP = 0x00, R_GHC = 0x04, R_IS = 0x08, R_PI = 0x0c, R_VS = 0x10, R_CAP2 = 0x24 };
enum { GHC_RESET = 1, GHC_IE = 2, VERSION = 0x10301 };
#define GHC_AE 0x80000000u
/* 64-bit addresses, NCQ, AHCI only, 3 Gb/s, CLO, 32 slots */
#define CAP_BITS (0xc1240000u | (SLOTS - 1) << 8 | (AHCI_PORTS - 1))
/* port registers */
enum { P_CLB = 0x00, P_CLBU = 0x04, P_FB = 0x08, P_FBU = 0x0c, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20,
       P_SIG = 0x24, P_SSTS = 0x28, P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38 };
enum { CMD_ST = 1 << 0, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14, CMD_CR = 1 << 15, CMD_ATAPI = 1 << 24 };
#define CMD_WRITABLE (0x0f000000u | CMD_ST | 2 | 4 | CMD_FRE)
enum {
	IS_D2H = 1 << 0, IS_PIO = 1 << 1, IS_SDB = 1 << 3, IS_CONNECT = 1 << 6, IS_HOST_BUS = 1 << 29,
	IS_TASK = 1 << 30,
};
enum { LINK_UP = 0x123, SERR_EXCHANGED = 1 << 26, TFD_NOTHING = 0x7f };
/* the command list and tables */
enum { HEADER = 32, HEADER_ATAPI = 1 << 5, TABLE_PACKET = 0x40, TABLE_PRDT = 0x80, PRD = 16, FIS_H2D = 0x27 };
enum { RX_PIO = 0x20, RX_D2H = 0x40, RX_SDB = 0x58 };

struct ahci;
struct slot {
	struct ata_op op;
	struct port *port;
	unsigned n, generation;
	uint64_t header; /* guest address of the command header */
	enum ata_protocol protocol;
};

struct port {
	struct ahci *h;
	unsigned n;
	bool present;
	struct ata_drive drive;
	struct loop *loop;
	struct slot *slot[SLOTS]; /* made at first use; loop thread */
	/* the controller's lock */
	uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
	uint32_t issued;     /* slots whose command is under way */
	unsigned generation; /* commands of an earlier one are forgotten */
	bool posted, halted; /* halted: after an error, until the guest stops the port */
	bool srst;           /* between the two halves of a software reset */
};

struct ahci {
	struct pci_dev pci;
	struct vm *vm;
	struct log_limit limit;
	pthread_mutex_t lock;
	uint32_t ghc;
	bool running;
	struct port port[AHCI_PORTS];
	/* saved state only */
	uint32_t saved[AHCI_PORTS][16];
};

/* ---- interrupts ---- */

static uint32_t pending(const struct ahci *h)
{
	uint32_t v = 0;

	for (unsigned n = 0; n < AHCI_PORTS; n++)
		if (h->port[n].is & h->port[n].ie)
			v |= 1u << n;
	return v;
}

static void update_irq(struct ahci *h)
{
	pci_intx(&h->pci, (h->ghc & GHC_IE) && pending(h));
}

static void raise(struct port *p, uint32_t bits)
{
	p->is |= bits;
	update_irq(p->h);
}

/* ---- what the device sends: FISes into the receive area ---- */

static void receive(struct port *p, unsigned at, const uint8_t *fis, unsigned len)
{
	uint64_t fb = (uint64_t)p->fbu << 32 | p->fb;

	if (p->cmd & CMD_FRE && gmem_write(p->h->vm->mem, fb + at, fis, len))
		log_limited(&p->h->limit, LOG_WARNING, "ahci: port %u's receive area is not in RAM", p->n);
}

/* The registers as FISes of both kinds hold them. */
static void fill_registers(uint8_t *f, const struct ata_op *op)
{
	f[2] = op->status;
	f[3] = op->error;
	f[4] = (uint8_t)op->lba;
	f[5] = (uint8_t)(op->lba >> 8);
	f[6] = (uint8_t)(op->lba >> 16);
	f[7] = op->in.device;
	f[8] = (uint8_t)(op->lba >> 24);
	f[9] = (uint8_t)(op->lba >> 32);
	f[10] = (uint8_t)(op->lba >> 40);
	store_le16(f + 12, op->count);
}

static void send_d2h(struct port *p, const struct ata_op *op)
{
	uint8_t f[20] = { 0x34, 0x40 };

	fill_registers(f, op);
	receive(p, RX_D2H, f, sizeof(f));
	p->tfd = (uint32_t)op->error << 8 | op->status;
	raise(p, IS_D2H | (op->status & ATA_ERROR ? IS_TASK : 0));
}

static void send_pio_setup(struct port *p, const struct ata_op *op)
{
	uint8_t f[20] = { 0x5f, 0x60 };

	fill_registers(f, op);
	f[2] = op->status | ATA_REQUEST;
	f[15] = op->status;
	store_le16(f + 16, op->x.moved > UINT16_MAX ? UINT16_MAX : (uint16_t)op->x.moved);
	receive(p, RX_PIO, f, sizeof(f));
	p->tfd = op->status;
	raise(p, IS_PIO);
}

static void send_set_bits(struct port *p, const struct ata_op *op, uint32_t done)
{
	uint8_t f[8] = { 0xa1, 0x40, op->status & 0x77, op->error };

	store_le32(f + 4, done);
	receive(p, RX_SDB, f, sizeof(f));
	p->sact &= ~done;
	p->tfd = (p->tfd & 0x88) | (uint32_t)op->error << 8 | (op->status & 0x77);
	raise(p, IS_SDB | (op->status & ATA_ERROR ? IS_TASK : 0));
}

/* After power-on and resets: who is there. */
static void send_signature(struct port *p)
{
	uint8_t f[20] = { 0x34, 0, p->drive.atapi ? 0 : ATA_READY | ATA_SEEK, 1, 1, [12] = 1 };

	p->sig = p->drive.atapi ? (uint32_t)ATA_SIGNATURE_ATAPI : ATA_SIGNATURE;
	store_le16(f + 5, p->sig >> 16);
	receive(p, RX_D2H, f, sizeof(f));
	p->tfd = 1u << 8 | f[2];
}

/* ---- commands ---- */

static void work(void *opaque);

static void post(struct port *p)
{
	if (p->posted || !p->h->running || !(p->ci & ~p->issued) || p->halted || !(p->cmd & CMD_ST))
		return;
	p->posted = loop_post(p->loop, work, p) == 0;
	if (!p->posted)
		log_limited(&p->h->limit, LOG_ERROR, "ahci: no memory to start a command of port %u", p->n);
}

static void settle(struct port *p)
{
	if (!p->issued && !(p->cmd & CMD_ST))
		p->cmd &= ~(uint32_t)CMD_CR;
	post(p);
}

static void command_done(struct ata_op *op)
{
	struct slot *s = op->opaque;
	struct port *p = s->port;
	uint32_t bit = 1u << s->n;
	bool failed = op->status & ATA_ERROR;
	uint8_t moved[4];

	pthread_mutex_lock(&p->h->lock);
	p->issued &= ~bit;
	if (s->generation == p->generation) {
		store_le32(moved, (uint32_t)op->x.moved);
		if (gmem_write(p->h->vm->mem, s->header + 4, moved, sizeof(moved)))
			log_limited(&p->h->limit, LOG_WARNING, "ahci: port %u's command list left RAM", p->n);
		p->halted |= failed;
		if (s->protocol == ATA_NCQ_IN || s->protocol == ATA_NCQ_OUT) {
			send_set_bits(p, op, failed ? 0 : bit);
		} else {
			p->ci &= failed ? UINT32_MAX : ~bit;
			if (s->protocol == ATA_PIO_IN && !failed)
				send_pio_setup(p, op);
			else
				send_d2h(p, op);
		}
	}
	settle(p);
	pthread_mutex_unlock(&p->h->lock);
}

/* The pieces of memory that the command table names. False: not RAM, or too many. */
static bool read_prdt(struct slot *s, uint64_t table, unsigned entries)
{
	struct gmem *mem = s->port->h->vm->mem;
	uint8_t e[PRD];

	xfer_reset(&s->op.x, mem);
	for (unsigned n = 0; n < entries; n++) {
		if (n == XFER_IOV_MAX || gmem_read(mem, table + TABLE_PRDT + n * PRD, e, PRD))
			return false;
		if (!xfer_add_guest(&s->op.x, load_le64(e), (load_le32(e + 12) & 0x3fffff) + 1))
			return false;
	}
	return true;
}

static void fill_command(struct ata_op *op, const uint8_t *fis)
{
	op->in = (struct ata_regs){
		.command = fis[2],
		.features = (uint16_t)(fis[3] | fis[11] << 8),
		.device = fis[7],
		.count = load_le16(fis + 12),
		.lba = (uint64_t)fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 | (uint64_t)fis[8] << 24 |
		       (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40,
	};
}

static struct slot *slot_of(struct port *p, unsigned n)
{
	if (!p->slot[n])
		p->slot[n] = calloc(1, sizeof(**p->slot));
	if (!p->slot[n])
		return NULL;
	p->slot[n]->port = p;
	p->slot[n]->n = n;
	p->slot[n]->generation = p->generation;
	p->slot[n]->op.drive = &p->drive;
	p->slot[n]->op.done = command_done;
	p->slot[n]->op.opaque = p->slot[n];
	return p->slot[n];
}

/* A register FIS without the command bit: the device control register, whose SRST resets at its falling edge. */
static void control(struct port *p, uint32_t bit, bool srst)
{
	p->ci &= ~bit;
	if (p->srst && !srst) {
		ata_reset(&p->drive);
		send_signature(p);
	}
	p->srst = srst;
}

static void host_bus_error(struct port *p, const char *what)
{
	log_limited(&p->h->limit, LOG_WARNING, "ahci: port %u: %s is not in RAM", p->n, what);
	p->halted = true;
	raise(p, IS_HOST_BUS);
}

/* The slot's command, ready to run; NULL: there is none to run. The lock is held. */
static struct slot *fetch(struct port *p, unsigned n)
{
	struct gmem *mem = p->h->vm->mem;
	uint8_t header[HEADER], fis[20];
	uint64_t at = ((uint64_t)p->clbu << 32 | p->clb) + n * HEADER;
	struct slot *s = slot_of(p, n);

	if (!s || gmem_read(mem, at, header, HEADER)) {
		host_bus_error(p, "the command list");
		return NULL;
	}
	uint32_t flags = load_le32(header);
	uint64_t table = load_le64(header + 8) & ~UINT64_C(127);
	bool in_ram = !gmem_read(mem, table, fis, sizeof(fis)) &&
		      !gmem_read(mem, table + TABLE_PACKET, s->op.packet, SCSI_CDB);

	s->protocol = in_ram ? ata_protocol_of(&p->drive, fis[2]) : ATA_NO_DATA;
	/* SeaBIOS gives packets without data a piece at 0 of "-1" bytes, which no controller looks at, and which is not
	 * all RAM where a VGA lies. */
	if (s->protocol == ATA_PACKET && !scsi_cd_has_data(s->op.packet))
		flags &= 0xffff;
	if (!in_ram || !read_prdt(s, table, flags >> 16)) {
		host_bus_error(p, "a command table or its data");
		return NULL;
	}
	if (fis[0] != FIS_H2D || !(fis[1] & 0x80)) {
		control(p, 1u << n, fis[15] & 4);
		return NULL;
	}
	fill_command(&s->op, fis);
	s->header = at;
	return s;
}

static bool queued(const struct slot *s)
{
	return s->protocol == ATA_NCQ_IN || s->protocol == ATA_NCQ_OUT;
}

/* The next slot to run: any while only queued commands are under way, else none. The lock is held. */
static struct slot *next(struct port *p)
{
	while (p->h->running && !p->halted && (p->cmd & CMD_ST)) {
		uint32_t ready = p->ci & ~p->issued;
		bool plain = false;

		for (unsigned n = 0; n < SLOTS; n++)
			plain |= p->issued >> n & 1 && !queued(p->slot[n]);
		if (!ready || plain)
			return NULL;
		unsigned n = (unsigned)__builtin_ctz(ready);
		struct slot *s = fetch(p, n);

		if (!s)
			continue;
		if (!queued(s) && p->issued)
			return NULL;
		p->issued |= 1u << n;
		p->tfd = (p->tfd & 0x7fu) | (queued(s) ? 0 : ATA_BUSY);
		p->cmd = (p->cmd & ~UINT32_C(0x1f00)) | n << 8;
		if (queued(s))
			p->ci &= ~(1u << n); /* the device has taken it; PxSACT shows that it is under way */
		return s;
	}
	return NULL;
}

static void work(void *opaque)
{
	struct port *p = opaque;
	struct slot *s;

	pthread_mutex_lock(&p->h->lock);
	p->posted = false;
	while ((s = next(p))) {
		pthread_mutex_unlock(&p->h->lock);
		ata_run(&s->op);
		pthread_mutex_lock(&p->h->lock);
	}
	pthread_mutex_unlock(&p->h->lock);
}

/* ---- registers ---- */

static void forget(struct port *p)
{
	p->generation++;
	p->ci = p->sact = 0;
	p->halted = p->srst = false;
}

static void port_reset(struct port *p)
{
	forget(p);
	p->is = p->ie = p->serr = p->sctl = 0;
	p->clb = p->clbu = p->fb = p->fbu = 0;
	p->cmd = p->issued ? CMD_CR : 0;
	p->ssts = p->present ? LINK_UP : 0;
	p->tfd = TFD_NOTHING;
	p->sig = UINT32_MAX;
	if (!p->present)
		return;
	ata_reset(&p->drive);
	p->cmd |= p->drive.atapi ? CMD_ATAPI : 0;
	send_signature(p);
}

static void cmd_write(struct port *p, uint32_t v)
{
	uint32_t old = p->cmd;

	p->cmd = (old & ~CMD_WRITABLE) | (v & CMD_WRITABLE & ~(uint32_t)(0x0e000000));
	if (v & CMD_CLO)
		p->tfd &= ~(uint32_t)(ATA_BUSY | ATA_REQUEST);
	p->cmd = p->cmd & CMD_FRE ? p->cmd | CMD_FR : p->cmd & ~(uint32_t)CMD_FR;
	if (p->cmd & CMD_ST)
		p->cmd |= CMD_CR;
	if (old & CMD_ST && !(p->cmd & CMD_ST)) {
		forget(p);
		p->tfd &= ~(uint32_t)ATA_BUSY;
		p->cmd &= ~UINT32_C(0x1f00);
	}
	settle(p);
}

/* COMRESET: DET 1, then 0. */
static void sctl_write(struct port *p, uint32_t v)
{
	bool was = (p->sctl & 15) == 1, is = (v & 15) == 1;

	p->sctl = v & 0xfff;
	if (is && !was) {
		forget(p);
		p->ssts = p->present ? 1 : 0;
		p->tfd = TFD_NOTHING | ATA_BUSY;
	} else if (was && !is && p->present && (v & 15) == 0) {
		ata_reset(&p->drive);
		p->ssts = LINK_UP;
		p->serr |= SERR_EXCHANGED;
		send_signature(p);
	} else if ((v & 15) == 4) {
		p->ssts = 4; /* switched off */
	}
}

static uint32_t port_read(const struct port *p, unsigned off)
{
	switch (off) {
	case P_CLB: return p->clb;
	case P_CLBU: return p->clbu;
	case P_FB: return p->fb;
	case P_FBU: return p->fbu;
	case P_IS: return p->is | (p->serr & SERR_EXCHANGED ? IS_CONNECT : 0);
	case P_IE: return p->ie;
	case P_CMD: return p->cmd;
	case P_TFD: return p->tfd;
	case P_SIG: return p->sig;
	case P_SSTS: return p->ssts;
	case P_SCTL: return p->sctl;
	case P_SERR: return p->serr;
	case P_SACT: return p->sact;
	case P_CI: return p->ci;
	}
	return 0;
}

static void port_write(struct port *p, unsigned off, uint32_t v)
{
	switch (off) {
	case P_CLB: p->clb = v & ~UINT32_C(0x3ff); break;
	case P_CLBU: p->clbu = v; break;
	case P_FB: p->fb = v & ~UINT32_C(0xff); break;
	case P_FBU: p->fbu = v; break;
	case P_IS: p->is &= ~v; break;
	case P_IE: p->ie = v & 0xfdc000ff; break;
	case P_CMD: cmd_write(p, v); break;
	case P_SCTL: sctl_write(p, v); break;
	case P_SERR: p->serr &= ~v; break;
	case P_SACT: p->sact |= p->cmd & CMD_ST ? v : 0; break;
	case P_CI:
		if (p->cmd & CMD_ST && p->present)
			p->ci |= v;
		post(p);
		break;
	}
}

static uint64_t abar_read(void *opaque, uint64_t off, unsigned width)
{
	struct ahci *h = opaque;

	if (off >= PORT_AT) {
		unsigned n = (unsigned)(off - PORT_AT) / PORT_SIZE;
		return n < AHCI_PORTS ? port_read(&h->port[n], (unsigned)(off - PORT_AT) % PORT_SIZE) : 0;
	}
	switch (off) {
	case R_CAP: return CAP_BITS;
	case R_GHC: return h->ghc;
	case R_IS: return pending(h);
	case R_PI: return (1u << AHCI_PORTS) - 1;
	case R_VS: return VERSION;
	}
	return 0;
}

static void abar_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct ahci *h = opaque;
	uint32_t v = (uint32_t)value;

	if (off >= PORT_AT) {
		unsigned n = (unsigned)(off - PORT_AT) / PORT_SIZE;
		if (n < AHCI_PORTS)
			port_write(&h->port[n], (unsigned)(off - PORT_AT) % PORT_SIZE, v);
	} else if (off == R_GHC && v & GHC_RESET) {
		h->ghc = GHC_AE;
		for (unsigned n = 0; n < AHCI_PORTS; n++)
			port_reset(&h->port[n]);
	} else if (off == R_GHC) {
		h->ghc = GHC_AE | (v & GHC_IE);
	}
	update_irq(h);
}

static const struct region_ops abar_ops = { .read = abar_read, .write = abar_write, .width_min = 4, .width_max = 4 };

/* ---- life ---- */

static void ahci_reset(void *impl)
{
	struct ahci *h = impl;

	pci_dev_reset(&h->pci);
	pthread_mutex_lock(&h->lock);
	h->ghc = GHC_AE;
	for (unsigned n = 0; n < AHCI_PORTS; n++)
		port_reset(&h->port[n]);
	update_irq(h);
	pthread_mutex_unlock(&h->lock);
}

static void ahci_run_state(void *impl, bool running)
{
	struct ahci *h = impl;

	pthread_mutex_lock(&h->lock);
	h->running = running;
	for (unsigned n = 0; running && n < AHCI_PORTS; n++)
		post(&h->port[n]);
	pthread_mutex_unlock(&h->lock);
	for (unsigned n = 0; !running && n < AHCI_PORTS; n++) {
		struct port *p = &h->port[n];
		struct blk *b = p->drive.blk ? p->drive.blk : p->drive.cd.blk;

		if (b)
			blk_wait(b);
	}
}

static void ahci_destroy(void *impl)
{
	struct ahci *h = impl;

	ahci_run_state(h, false);
	pci_dev_detach(&h->pci);
	for (unsigned n = 0; n < AHCI_PORTS; n++) {
		for (unsigned i = 0; i < SLOTS; i++)
			free(h->port[n].slot[i]);
		blk_close(h->port[n].drive.blk);
		blk_close(h->port[n].drive.cd.blk);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static const uint8_t saved_registers[] = {
	P_CLB, P_CLBU, P_FB, P_FBU, P_IE, P_CMD, P_SCTL, P_TFD, P_SIG, P_SSTS, P_SERR, P_SACT, P_CI,
};

static void ahci_before_save(void *obj)
{
	struct ahci *h = obj;

	for (unsigned n = 0; n < AHCI_PORTS; n++) {
		for (unsigned i = 0; i < COUNT_OF(saved_registers); i++)
			h->saved[n][i] = port_read(&h->port[n], saved_registers[i]);
		h->saved[n][13] = h->port[n].is;
		h->saved[n][14] = (uint32_t)(h->port[n].halted | h->port[n].srst << 1);
	}
}

static void port_loaded(struct port *p, const uint32_t *r)
{
	forget(p);
	p->clb = r[0] & ~UINT32_C(0x3ff);
	p->clbu = r[1];
	p->fb = r[2] & ~UINT32_C(0xff);
	p->fbu = r[3];
	p->ie = r[4] & 0xfdc000ff;
	p->cmd = (r[5] & (CMD_WRITABLE | CMD_FR | CMD_CR | CMD_ATAPI)) & (p->present ? UINT32_MAX : ~(uint32_t)CMD_ST);
	p->sctl = r[6] & 0xfff;
	p->tfd = r[7] & 0xffff;
	p->sig = r[8];
	p->ssts = p->present ? r[9] & 0xfff : 0;
	p->serr = r[10];
	p->sact = r[11];
	p->ci = p->present ? r[12] : 0;
	p->is = r[13];
	p->halted = r[14] & 1;
	p->srst = r[14] & 2;
}

static int ahci_loaded(void *obj, uint16_t version, struct err *e)
{
	struct ahci *h = obj;
	int ret = pci_dev_loaded(&h->pci, e);

	if (ret < 0)
		return ret;
	h->ghc = GHC_AE | (h->ghc & GHC_IE);
	for (unsigned n = 0; n < AHCI_PORTS; n++)
		port_loaded(&h->port[n], h->saved[n]);
	update_irq(h);
	return 0;
}

static const struct state_field ahci_fields[] = {
	STATE_ARRAY(struct ahci, pci.config, STATE_BYTES, PCI_CONFIG_SIZE), STATE_FIELD(struct ahci, ghc, STATE_U32),
	STATE_ARRAY(struct ahci, saved, STATE_U32, AHCI_PORTS * 16), STATE_END,
};

static const struct state_desc ahci_state = {
	.name = "ahci", .version = 1, .fields = ahci_fields, .before_save = ahci_before_save, .after_load = ahci_loaded,
};

static const struct dev_type ahci_type = {
	.name = "ahci", .destroy = ahci_destroy, .reset = ahci_reset, .run_state = ahci_run_state, .state = &ahci_state,
	.state_size = sizeof(struct ahci),
};

static void port_init(struct ahci *h, unsigned n, const struct ahci_config *cfg)
{
	struct port *p = &h->port[n];
	struct blk *blk = cfg->port[n].blk;
	char serial[ATA_SERIAL + 1];

	p->h = h;
	p->n = n;
	p->present = cfg->port[n].present;
	p->loop = blk ? blk_loop(blk) : h->vm->loop;
	snprintf(serial, sizeof(serial), "PANAL%u", n);
	if (blk && blk_info(blk)->serial[0])
		snprintf(serial, sizeof(serial), "%s", blk_info(blk)->serial);
	if (p->present)
		ata_init(&p->drive, blk, cfg->port[n].cdrom, cfg->port[n].serial ? cfg->port[n].serial : serial);
	port_reset(p);
}

int ahci_create(struct vm *vm, const struct ahci_config *cfg, struct err *e)
{
	struct ahci *h = calloc(1, sizeof(*h));
	struct pci_ident id = { .vendor = VENDOR_INTEL, .device = DEVICE_ICH9_AHCI, .class_code = CLASS_AHCI,
				.revision = REVISION, .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .int_pin = 1 };
	int ret;

	if (!h)
		return err_set(e, -ENOMEM, "no memory for the AHCI controller");
	h->vm = vm;
	h->ghc = GHC_AE;
	pthread_mutex_init(&h->lock, NULL);
	for (unsigned n = 0; n < AHCI_PORTS; n++)
		port_init(h, n, cfg);
	ret = pci_dev_attach(&h->pci, cfg->bus, cfg->slot, cfg->function, "ahci", &id, e);
	if (ret == 0) {
		pci_bar_set(&h->pci, BAR, &(struct pci_bar){ .size = ABAR_SIZE, .ops = &abar_ops, .opaque = h,
							     .lock = &h->lock });
		ret = dev_attach(vm, &ahci_type, NULL, h, e);
	}
	for (unsigned n = 0; ret == 0 && n < AHCI_PORTS; n++)
		if (cfg->port[n].cdrom && cfg->port[n].cd)
			*cfg->port[n].cd = &h->port[n].drive.cd;
	if (ret < 0) {
		/* The images stay the caller's. */
		for (unsigned n = 0; n < AHCI_PORTS; n++)
			h->port[n].drive.blk = h->port[n].drive.cd.blk = NULL;
		ahci_destroy(h);
	}
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No SMM: SMI_EN reads as if the firmware had set its handler up before, which makes it leave SMM alone, and a write to
 * the APM port raises nothing.
 */
#include "arch/x86/lpc.h"

#include "arch/x86/gsi.h"
#include "arch/x86/pm.h"
#include "base/bytes.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/pci/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VENDOR_INTEL = 0x8086, DEVICE_ICH9_LPC = 0x2918, CLASS_ISA_BRIDGE = 0x060100, REVISION = 2 };
enum { R_PMBASE = 0x40, R_ACPI_CNTL = 0x44, R_PIRQ_A = 0x60, R_PIRQ_E = 0x68, R_GEN_PMCON_1 = 0xa0, R_RCBA = 0xf0 };
enum { PMBASE_IO = 1, PMBASE_ADDRESS = 0xff80, ACPI_ON = 0x80, PIRQ_OFF = 0x80, PIRQ_IRQ = 0x0f, RCBA_ON = 1 };
enum { SMI_BLOCK = 0x30, SMI_BLOCK_LEN = 8, SMI_GLOBAL = 1 << 0, SMI_APMC = 1 << 5 };
enum { APM_PORT = 0xb2, APM_PORTS = 2 };
enum { RCBA_SIZE = 0x4000, GSI_PIC = 16 };
#define RCBA_ADDRESS UINT32_C(0xffffc000)

struct lpc {
	struct pci_dev pci;
	struct lpc_config cfg;
	struct vm *vm;
	struct region_handle *apm;
	/* the PCI host's lock */
	struct region_handle *smi, *rcba;
	uint16_t smi_at;
	uint32_t rcba_at;
	pthread_mutex_t lock; /* guards all below; held while lines are driven */
	bool level[LPC_LINES];
	uint32_t driven;    /* PIC inputs that a line holds up */
	uint8_t route[LPC_LINES];
	uint8_t apm_bytes[APM_PORTS];
	uint8_t chipset[RCBA_SIZE]; /* interrupt routes and the like: kept for the guest to read back */
};

/* ---- PIRQ A to D: from a line to a PIC input ---- */

static void drive_pics(struct lpc *l)
{
	uint32_t want = 0;

	for (unsigned n = 0; n < LPC_LINES; n++)
		if (l->level[n] && !(l->route[n] & PIRQ_OFF))
			want |= 1u << (l->route[n] & PIRQ_IRQ);
	for (unsigned irq = 0; irq < GSI_PIC; irq++) {
		struct irq wire = gsi_isa(l->cfg.gsi, irq);

		if ((want ^ l->driven) >> irq & 1)
			irq_set(&wire, want >> irq & 1);
	}
	l->driven = want;
}

static void line_set(void *opaque, int n, bool level)
{
	struct lpc *l = opaque;
	struct irq pin = gsi_wire(l->cfg.gsi, LPC_GSI + (unsigned)n);

	irq_set(&pin, level);
	pthread_mutex_lock(&l->lock);
	l->level[n] = level;
	drive_pics(l);
	pthread_mutex_unlock(&l->lock);
}

struct irq lpc_line(struct lpc *l, unsigned n)
{
	return (struct irq){ .set = line_set, .opaque = l, .n = (int)n };
}

static void routes_changed(struct lpc *l)
{
	pthread_mutex_lock(&l->lock);
	memcpy(l->route, &l->pci.config[R_PIRQ_A], LPC_LINES);
	drive_pics(l);
	pthread_mutex_unlock(&l->lock);
}

/* ---- windows ---- */

static uint64_t smi_read(void *opaque, uint64_t off, unsigned width)
{
	return off ? 0 : SMI_GLOBAL | SMI_APMC;
}

static uint64_t chipset_read(void *opaque, uint64_t off, unsigned width)
{
	struct lpc *l = opaque;
	uint8_t v[4] = { 0 };

	memcpy(v, &l->chipset[off], width);
	return load_le32(v);
}

static void chipset_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct lpc *l = opaque;
	uint8_t v[8];

	store_le64(v, value);
	memcpy(&l->chipset[off], v, width);
}

static void ignored(void *opaque, uint64_t off, unsigned width, uint64_t value) {}

static const struct region_ops smi_ops = { .read = smi_read, .write = ignored, .width_min = 4, .width_max = 4 };
static const struct region_ops chipset_ops = {
	.read = chipset_read, .write = chipset_write, .width_min = 1, .width_max = 4,
};

static void move(struct lpc *l, struct region_handle **h, const struct region *r)
{
	region_detach(*h);
	*h = NULL;
	if (r->addr && region_attach(l->vm->regions, r, h, NULL))
		*h = NULL;
}

static void place_pm(struct lpc *l)
{
	bool on = l->pci.config[R_ACPI_CNTL] & ACPI_ON;
	uint16_t base = on ? load_le16(&l->pci.config[R_PMBASE]) & PMBASE_ADDRESS : 0;
	struct region smi = { .space = REGION_PORT, .addr = base ? base + SMI_BLOCK : 0, .size = SMI_BLOCK_LEN,
			      .name = "smi", .ops = &smi_ops, .opaque = l };

	if (base == l->smi_at)
		return;
	l->smi_at = base;
	move(l, &l->smi, &smi);
	pm_move(l->cfg.pm, base);
}

static void place_chipset(struct lpc *l)
{
	uint32_t v = load_le32(&l->pci.config[R_RCBA]), at = v & RCBA_ON ? v & RCBA_ADDRESS : 0;
	struct region r = { .space = REGION_MEMORY, .addr = at, .size = RCBA_SIZE, .name = "chipset",
			    .ops = &chipset_ops, .opaque = l, .lock = &l->lock };

	if (at == l->rcba_at)
		return;
	l->rcba_at = at;
	move(l, &l->rcba, &r);
}

static void written(struct pci_dev *d, unsigned off, unsigned width)
{
	struct lpc *l = container_of(d, struct lpc, pci);

	routes_changed(l);
	place_pm(l);
	place_chipset(l);
}

/* ---- the APM ports: kept, for those who pass a byte to their own handler ---- */

static uint64_t apm_read(void *opaque, uint64_t off, unsigned width)
{
	return ((struct lpc *)opaque)->apm_bytes[off];
}

static void apm_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	((struct lpc *)opaque)->apm_bytes[off] = (uint8_t)value;
}

static const struct region_ops apm_ops = { .read = apm_read, .write = apm_write, .width_min = 1, .width_max = 1 };

/* ---- life ---- */

static void lpc_reset(void *impl)
{
	struct lpc *l = impl;

	/* SeaBIOS does not set the bridge up again after S3: as if all of it had standby power. */
	if (l->vm->waking)
		return;
	memset(l->chipset, 0, sizeof(l->chipset));
	memset(l->apm_bytes, 0, sizeof(l->apm_bytes));
	pci_dev_reset(&l->pci);
	written(&l->pci, 0, PCI_CONFIG_SIZE);
}

void lpc_destroy(void *impl)
{
	struct lpc *l = impl;

	pci_dev_detach(&l->pci);
	region_detach(l->apm);
	region_detach(l->smi);
	region_detach(l->rcba);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static int lpc_loaded(void *obj, uint16_t version, struct err *e)
{
	struct lpc *l = obj;
	int ret = pci_dev_loaded(&l->pci, e);

	if (ret == 0)
		written(&l->pci, 0, PCI_CONFIG_SIZE);
	return ret;
}

static const struct state_field lpc_fields[] = {
	STATE_ARRAY(struct lpc, pci.config, STATE_BYTES, PCI_CONFIG_SIZE),
	STATE_ARRAY(struct lpc, apm_bytes, STATE_BYTES, APM_PORTS),
	STATE_ARRAY(struct lpc, chipset, STATE_BYTES, RCBA_SIZE), STATE_END,
};

static const struct state_desc lpc_state = {
	.name = "lpc", .version = 1, .fields = lpc_fields, .after_load = lpc_loaded,
};

static const struct dev_type lpc_type = {
	.name = "lpc", .destroy = lpc_destroy, .reset = lpc_reset, .state = &lpc_state,
	.state_size = sizeof(struct lpc),
};

static void registers_init(struct pci_dev *d)
{
	static const uint8_t off[4] = { PIRQ_OFF, PIRQ_OFF, PIRQ_OFF, PIRQ_OFF };
	uint8_t pmbase[4] = { PMBASE_IO };

	pci_config_init(d, R_PMBASE, pmbase, sizeof(pmbase));
	pci_config_init(d, R_PIRQ_A, off, sizeof(off));
	pci_config_init(d, R_PIRQ_E, off, sizeof(off));
	store_le32(&d->write_mask[R_PMBASE], PMBASE_ADDRESS);
	d->write_mask[R_ACPI_CNTL] = ACPI_ON | 7;
	memset(&d->write_mask[R_PIRQ_A], PIRQ_OFF | PIRQ_IRQ, 4);
	memset(&d->write_mask[R_PIRQ_E], PIRQ_OFF | PIRQ_IRQ, 4);
	store_le16(&d->write_mask[R_GEN_PMCON_1], 0xffff);
	store_le32(&d->write_mask[R_RCBA], RCBA_ADDRESS | RCBA_ON);
}

int lpc_attach(struct lpc *l, struct pci_bus *bus, struct err *e)
{
	struct pci_ident id = { .vendor = VENDOR_INTEL, .device = DEVICE_ICH9_LPC, .class_code = CLASS_ISA_BRIDGE,
				.revision = REVISION, .subsystem_vendor = 0x1af4, .subsystem = 0x1100 };
	int ret = pci_dev_attach(&l->pci, bus, LPC_SLOT, 0, "lpc", &id, e);

	if (ret == 0) {
		registers_init(&l->pci);
		l->pci.config_written = written;
		ret = dev_attach(l->vm, &lpc_type, NULL, l, e);
	}
	if (ret < 0)
		lpc_destroy(l);
	return ret;
}

int lpc_create(struct vm *vm, struct lpc_config cfg, struct lpc **out, struct err *e)
{
	struct lpc *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for the LPC bridge");
	l->vm = vm;
	l->cfg = cfg;
	memset(l->route, PIRQ_OFF, sizeof(l->route));
	pthread_mutex_init(&l->lock, NULL);
	struct region apm = { .space = REGION_PORT, .addr = APM_PORT, .size = APM_PORTS, .name = "apm", .ops = &apm_ops,
			      .opaque = l, .lock = &l->lock };
	ret = region_attach(vm->regions, &apm, &l->apm, e);
	if (ret < 0) {
		lpc_destroy(l);
		return ret;
	}
	*out = l;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arch/x86/vmgenid.h"

#include "arch/x86/pm.h"
#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/legacy/fw_cfg.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = 8 };

struct vmgenid {
	struct vmgenid_config cfg;
	struct vm *vm;
	pthread_mutex_t lock; /* guards all below */
	uint8_t id[VMGENID_BYTES];
	uint8_t address[ADDRESS_BYTES]; /* of the page, as firmware wrote it: little-endian; 0: not yet */
	uint8_t page[VMGENID_PAGE];     /* for firmware to place */
};

/* The first three parts of a GUID are little-endian numbers in memory. */
static void to_memory(const uint8_t id[VMGENID_BYTES], uint8_t out[VMGENID_BYTES])
{
	static const uint8_t order[VMGENID_BYTES] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned n = 0; n < VMGENID_BYTES; n++)
		out[n] = id[order[n]];
}

static void place(struct vmgenid *g)
{
	uint64_t at = load_le64(g->address);

	to_memory(g->id, g->page + VMGENID_AT);
	/* The guest said where; where there is no RAM it has lost it. */
	if (at && at <= UINT64_MAX - VMGENID_PAGE &&
	    gmem_write(g->vm->mem, at + VMGENID_AT, g->page + VMGENID_AT, VMGENID_BYTES) < 0)
		memset(g->address, 0, sizeof(g->address));
}

static void address_written(void *opaque, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	struct vmgenid *g = opaque;

	pthread_mutex_lock(&g->lock);
	memcpy(g->address + at, bytes, len);
	pthread_mutex_unlock(&g->lock);
}

void vmgenid_set(struct vmgenid *g, const uint8_t id[VMGENID_BYTES])
{
	pthread_mutex_lock(&g->lock);
	memcpy(g->id, id, VMGENID_BYTES);
	place(g);
	pthread_mutex_unlock(&g->lock);
	pm_gpe_raise(g->cfg.pm, VMGENID_GPE);
}

void vmgenid_get(struct vmgenid *g, uint8_t id[VMGENID_BYTES])
{
	pthread_mutex_lock(&g->lock);
	memcpy(id, g->id, VMGENID_BYTES);
	pthread_mutex_unlock(&g->lock);
}

/* Out of sleep the page is where it was. */
static void vmgenid_reset(void *impl)
{
	struct vmgenid *g = impl;

	pthread_mutex_lock(&g->lock);
	if (!g->vm->waking)
		memset(g->address, 0, sizeof(g->address));
	pthread_mutex_unlock(&g->lock);
}

static int vmgenid_loaded(void *obj, uint16_t version, struct err *e)
{
	struct vmgenid *g = obj;

	to_memory(g->id, g->page + VMGENID_AT);
	return 0;
}

static const struct state_field vmgenid_fields[] = {
	STATE_ARRAY(struct vmgenid, id, STATE_BYTES, VMGENID_BYTES),
	STATE_ARRAY(struct vmgenid, address, STATE_BYTES, ADDRESS_BYTES), STATE_END,
};

static const struct state_desc vmgenid_state = {
	.name = "vmgenid", .version = 1, .fields = vmgenid_fields, .after_load = vmgenid_loaded,
};

static void vmgenid_destroy(void *impl)
{
	struct vmgenid *g = impl;

	pthread_mutex_destroy(&g->lock);
	free(g);
}

static const struct dev_type vmgenid_type = {
	.name = "vmgenid", .destroy = vmgenid_destroy, .reset = vmgenid_reset, .state = &vmgenid_state,
	.state_size = sizeof(struct vmgenid),
};

static int add_files(struct vmgenid *g, struct err *e)
{
	struct fw_cfg_writable address = { .bytes = g->address, .len = ADDRESS_BYTES, .written = address_written,
					   .opaque = g };
	int ret = fw_cfg_lend_file(g->cfg.fw_cfg, VMGENID_FILE, g->page, VMGENID_PAGE, e);

	return ret < 0 ? ret : fw_cfg_lend_writable(g->cfg.fw_cfg, VMGENID_ADDRESS_FILE, &address, e);
}

int vmgenid_create(struct vm *vm, const struct vmgenid_config *cfg, struct vmgenid **out, struct err *e)
{
	struct vmgenid *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return err_set(e, -ENOMEM, "no memory for the generation ID");
	g->cfg = *cfg;
	g->vm = vm;
	memcpy(g->id, cfg->id, VMGENID_BYTES);
	to_memory(g->id, g->page + VMGENID_AT);
	pthread_mutex_init(&g->lock, NULL);
	ret = dev_attach(vm, &vmgenid_type, NULL, g, e);
	if (ret < 0) {
		vmgenid_destroy(g);
		return ret;
	}
	/* The files are lent: from here on the machine, which ends both, owns g. */
	*out = g;
	return add_files(g, e);
}

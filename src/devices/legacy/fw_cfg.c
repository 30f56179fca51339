/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/fw_cfg.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SELECTOR = 0, DATA = 1, DMA_HIGH = 4, DMA_LOW = 8 };
enum { KEY_SIGNATURE = 0x00, KEY_ID = 0x01, KEY_DIRECTORY = 0x19, KEY_FILES = 0x20, KEY_WRITE = 0x4000 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16, DMA_COMMAND = 16 };
enum { FIXED_ITEMS = 32, DIRECTORY_ENTRY = 64 };
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

struct item {
	uint16_t key;
	uint32_t len;
	const uint8_t *bytes;
	void *own; /* NULL: lent */
	struct fw_cfg_writable writable; /* written NULL: it is not */
};

struct fw_cfg {
	struct gmem *mem;
	struct region_handle *region;
	pthread_mutex_t lock; /* guards all below */
	struct item fixed[FIXED_ITEMS], file[FW_CFG_FILES_MAX];
	unsigned fixed_count, file_count;
	uint8_t directory[4 + FW_CFG_FILES_MAX * DIRECTORY_ENTRY];
	uint16_t selected;
	uint32_t at; /* of the selected item */
	uint64_t dma;
};

/* ---- items ---- */

static const struct item *find(const struct fw_cfg *fc, uint16_t key)
{
	key &= (uint16_t)~KEY_WRITE;
	if (key >= KEY_FILES && key < KEY_FILES + fc->file_count)
		return &fc->file[key - KEY_FILES];
	for (unsigned n = 0; n < fc->fixed_count; n++)
		if (fc->fixed[n].key == key)
			return &fc->fixed[n];
	return NULL;
}

static int item_set(struct item *it, uint16_t key, const void *bytes, size_t len, struct err *e)
{
	if (len > FW_CFG_ITEM_MAX)
		return err_set(e, -ENOSPC, "firmware configuration items are at most %d MiB", FW_CFG_ITEM_MAX >> 20);
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for a firmware configuration item");
	memcpy(copy, bytes, len);
	free(it->own);
	*it = (struct item){.key = key, .len = (uint32_t)len, .bytes = copy, .own = copy};
	return 0;
}

static int item_lend(struct item *it, uint16_t key, const void *bytes, size_t len, struct err *e)
{
	if (len > FW_CFG_ITEM_MAX)
		return err_set(e, -ENOSPC, "firmware configuration items are at most %d MiB", FW_CFG_ITEM_MAX >> 20);
	free(it->own);
	*it = (struct item){.key = key, .len = (uint32_t)len, .bytes = bytes};
	return 0;
}

static struct item *place_for(struct fw_cfg *fc, uint16_t key)
{
	struct item *it = (struct item *)find(fc, key);
	if (!it && fc->fixed_count < FIXED_ITEMS)
		it = &fc->fixed[fc->fixed_count];
	return it;
}

static int add_item(struct fw_cfg *fc, uint16_t key, const void *bytes, size_t len, bool lent, struct err *e)
{
	struct item *it = place_for(fc, key);
	if (!it)
		return err_set(e, -ENOSPC, "too many firmware configuration items");
	int ret = lent ? item_lend(it, key, bytes, len, e) : item_set(it, key, bytes, len, e);
	if (ret == 0 && it == &fc->fixed[fc->fixed_count])
		fc->fixed_count++;
	return ret;
}

int fw_cfg_lend(struct fw_cfg *fc, uint16_t key, const void *bytes, size_t len, struct err *e)
{
	return add_item(fc, key, bytes, len, true, e);
}

int fw_cfg_add(struct fw_cfg *fc, uint16_t key, const void *bytes, size_t len, struct err *e)
{
	return add_item(fc, key, bytes, len, false, e);
}

/* The directory: a count, then size, key and name of each file, big-endian. */
static uint8_t *entry_of(struct fw_cfg *fc, unsigned n)
{
	return fc->directory + 4 + n * DIRECTORY_ENTRY;
}

static unsigned file_index(struct fw_cfg *fc, const char *name)
{
	for (unsigned n = 0; n < fc->file_count; n++)
		if (!strcmp((const char *)entry_of(fc, n) + 8, name))
			return n;
	return fc->file_count;
}

static int file_place(struct fw_cfg *fc, const char *name, unsigned *n, struct err *e)
{
	*n = file_index(fc, name);
	if (strlen(name) > FW_CFG_NAME_MAX)
		return err_set(e, -EINVAL, "the name \"%s\" is longer than %d bytes", name, FW_CFG_NAME_MAX);
	if (*n == FW_CFG_FILES_MAX)
		return err_set(e, -ENOSPC, "more than %d firmware configuration files", FW_CFG_FILES_MAX);
	return 0;
}

static int file_list(struct fw_cfg *fc, const char *name, unsigned n, size_t len, struct err *e)
{
	if (n == fc->file_count)
		fc->file_count++;
	uint8_t *entry = entry_of(fc, n);
	store_be32(entry, (uint32_t)len);
	store_be16(entry + 4, (uint16_t)(KEY_FILES + n));
	memcpy(entry + 8, name, strlen(name) + 1);
	store_be32(fc->directory, fc->file_count);
	return fw_cfg_add(fc, KEY_DIRECTORY, fc->directory, 4 + fc->file_count * DIRECTORY_ENTRY, e);
}

int fw_cfg_add_file(struct fw_cfg *fc, const char *name, const void *bytes, size_t len, struct err *e)
{
	unsigned n;
	int ret = file_place(fc, name, &n, e);

	if (ret == 0)
		ret = item_set(&fc->file[n], (uint16_t)(KEY_FILES + n), bytes, len, e);
	return ret < 0 ? ret : file_list(fc, name, n, len, e);
}

int fw_cfg_lend_file(struct fw_cfg *fc, const char *name, const void *bytes, size_t len, struct err *e)
{
	unsigned n;
	int ret = file_place(fc, name, &n, e);

	if (ret == 0)
		ret = item_lend(&fc->file[n], (uint16_t)(KEY_FILES + n), bytes, len, e);
	return ret < 0 ? ret : file_list(fc, name, n, len, e);
}

int fw_cfg_lend_writable(struct fw_cfg *fc, const char *name, const struct fw_cfg_writable *w, struct err *e)
{
	unsigned n;
	int ret = file_place(fc, name, &n, e);

	if (ret == 0 && w->len > FW_CFG_WRITABLE_MAX)
		return err_set(e, -ENOSPC, "files that the guest writes are at most %d bytes", FW_CFG_WRITABLE_MAX);
	if (ret == 0)
		ret = item_lend(&fc->file[n], (uint16_t)(KEY_FILES + n), w->bytes, w->len, e);
	if (ret < 0)
		return ret;
	fc->file[n].writable = *w;
	return file_list(fc, name, n, w->len, e);
}

int fw_cfg_add_int(struct fw_cfg *fc, uint16_t key, uint64_t value, unsigned bytes, struct err *e)
{
	uint8_t text[8];
	store_le64(text, value);
	return fw_cfg_add(fc, key, text, bytes, e);
}

int fw_cfg_add_file_int(struct fw_cfg *fc, const char *name, uint64_t value, unsigned bytes, struct err *e)
{
	uint8_t text[8];
	store_le64(text, value);
	return fw_cfg_add_file(fc, name, text, bytes, e);
}

/* ---- what the guest does ---- */

static void select_item(struct fw_cfg *fc, uint16_t key)
{
	fc->selected = key;
	fc->at = 0;
}

/* Up to len bytes of the selected item; what is past its end reads as zero. Returns how many came from it. */
static uint32_t item_left(const struct fw_cfg *fc, const struct item **it)
{
	*it = find(fc, fc->selected);
	return *it && fc->at < (*it)->len ? (*it)->len - fc->at : 0;
}

static int dma_read(struct fw_cfg *fc, uint64_t addr, uint32_t len)
{
	const struct item *it;
	uint32_t left = item_left(fc, &it), take = left < len ? left : len;
	int ret = take ? gmem_write(fc->mem, addr, it->bytes + fc->at, take) : 0;
	fc->at += take;
	return ret == 0 && len > take ? gmem_fill(fc->mem, addr + take, 0, len - take) : ret;
}

/* Most items are read-only, so writes fail; and so does one over an item's end. */
static int dma_write(struct fw_cfg *fc, uint64_t addr, uint32_t len)
{
	const struct item *it;
	uint8_t bytes[FW_CFG_WRITABLE_MAX];
	uint32_t left = item_left(fc, &it);

	if (!it || !it->writable.written || len > left)
		return -EROFS;
	if (gmem_read(fc->mem, addr, bytes, len))
		return -EFAULT;
	it->writable.written(it->writable.opaque, fc->at, bytes, len);
	fc->at += len;
	return 0;
}

/* The command's control word is written back: 0, or DMA_ERROR. */
static void dma_run(struct fw_cfg *fc, uint64_t at)
{
	uint8_t command[DMA_COMMAND], answer[4];
	if (gmem_read(fc->mem, at, command, sizeof(command)))
		return;
	uint32_t control = load_be32(command), len = load_be32(command + 4);
	int ret = 0;
	if (control & DMA_SELECT)
		select_item(fc, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		ret = dma_read(fc, load_be64(command + 8), len);
	else if (control & DMA_SKIP)
		fc->at = fc->at + (uint64_t)len > UINT32_MAX ? UINT32_MAX : fc->at + len;
	else if (control & DMA_WRITE)
		ret = dma_write(fc, load_be64(command + 8), len);
	store_be32(answer, ret ? DMA_ERROR : 0);
	if (gmem_write(fc->mem, at, answer, sizeof(answer)))
		return;
}

static uint64_t port_read(void *opaque, uint64_t off, unsigned width)
{
	struct fw_cfg *fc = opaque;
	const struct item *it;
	if (off == DATA && width == 1)
		return item_left(fc, &it) ? it->bytes[fc->at++] : 0;
	if (off == DMA_HIGH && width == 4)
		return __builtin_bswap32((uint32_t)(DMA_SIGNATURE >> 32));
	if (off == DMA_LOW && width == 4)
		return __builtin_bswap32((uint32_t)DMA_SIGNATURE);
	return width_mask(width);
}

static void port_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct fw_cfg *fc = opaque;
	if (off == SELECTOR && width == 2) {
		select_item(fc, (uint16_t)value);
	} else if (off == DMA_HIGH && width == 4) {
		fc->dma = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
	} else if (off == DMA_LOW && width == 4) {
		uint64_t at = fc->dma | __builtin_bswap32((uint32_t)value);
		fc->dma = 0;
		dma_run(fc, at);
	}
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .width_min = 1, .width_max = 4};

/* ---- life ---- */

static void fw_cfg_reset(void *impl)
{
	struct fw_cfg *fc = impl;
	pthread_mutex_lock(&fc->lock);
	select_item(fc, 0);
	fc->dma = 0;
	pthread_mutex_unlock(&fc->lock);
}

static void fw_cfg_destroy(void *impl)
{
	struct fw_cfg *fc = impl;
	region_detach(fc->region);
	for (unsigned n = 0; n < fc->fixed_count; n++)
		free(fc->fixed[n].own);
	for (unsigned n = 0; n < fc->file_count; n++)
		free(fc->file[n].own);
	pthread_mutex_destroy(&fc->lock);
	free(fc);
}

static const struct state_field fw_cfg_fields[] = {
	STATE_FIELD(struct fw_cfg, selected, STATE_U16), STATE_FIELD(struct fw_cfg, at, STATE_U32),
	STATE_FIELD(struct fw_cfg, dma, STATE_U64), STATE_END,
};

static const struct state_desc fw_cfg_state = {.name = "fw-cfg", .version = 1, .fields = fw_cfg_fields};

static const struct dev_type fw_cfg_type = {
	.name = "fw-cfg", .destroy = fw_cfg_destroy, .reset = fw_cfg_reset, .state = &fw_cfg_state,
	.state_size = sizeof(struct fw_cfg),
};

int fw_cfg_create(struct vm *vm, struct fw_cfg **out, struct err *e)
{
	struct fw_cfg *fc = calloc(1, sizeof(*fc));
	if (!fc)
		return err_set(e, -ENOMEM, "no memory for the firmware configuration device");
	fc->mem = vm->mem;
	pthread_mutex_init(&fc->lock, NULL);
	struct region r = {.space = REGION_PORT, .addr = FW_CFG_PORT, .size = FW_CFG_PORTS, .name = "fw-cfg",
			   .ops = &port_ops, .opaque = fc, .lock = &fc->lock};
	int ret = fw_cfg_add(fc, KEY_SIGNATURE, "QEMU", 4, e);
	if (ret == 0)
		ret = fw_cfg_add_int(fc, KEY_ID, ID_TRADITIONAL | ID_DMA, 4, e);
	if (ret == 0)
		ret = fw_cfg_add(fc, KEY_DIRECTORY, fc->directory, 4, e);
	if (ret == 0)
		ret = region_attach(vm->regions, &r, &fc->region, e);
	if (ret == 0)
		ret = dev_attach(vm, &fw_cfg_type, NULL, fc, e);
	if (ret < 0) {
		fw_cfg_destroy(fc);
		return ret;
	}
	*out = fc;
	return 0;
}

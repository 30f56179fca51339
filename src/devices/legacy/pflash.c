/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "devices/legacy/pflash.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/region.h"
#include "core/state.h"
#include "core/vm.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CMD_PROGRAM_ALT = 0x10, CMD_ERASE = 0x20, CMD_PROGRAM = 0x40, CMD_CLEAR_STATUS = 0x50, CMD_READ_STATUS = 0x70,
	CMD_READ_ID = 0x90, CMD_CFI_QUERY = 0x98, CMD_CONFIRM = 0xd0, CMD_READ_ARRAY = 0xff,
};
enum { STATUS_READY = 0x80, STATUS_ERASE_ERROR = 0x20, STATUS_PROGRAM_ERROR = 0x10 };
enum { MAKER_INTEL = 0x89, DEVICE_ID = 0x18, CFI_AT = 0x10, CFI_SIZE = 0x21 };

struct pflash {
	struct region_handle *region;
	uint8_t *data; /* the file */
	uint32_t size;
	int fd;
	pthread_mutex_t lock; /* guards data's writes and all below */
	uint8_t command; /* what reads answer with, or what awaits its second cycle */
	uint8_t status;
};

/* The answer to a CFI query, from offset 0x10 on: command set 1, no voltages, one region of equal blocks. */
static uint8_t cfi_byte(const struct pflash *f, uint64_t off)
{
	uint32_t blocks = f->size / PFLASH_BLOCK - 1;
	const uint8_t table[CFI_SIZE] = {
		'Q', 'R', 'Y', 1, 0, 0x31, 0, [0x0b] = 0x45, 0x55, [0x0f] = 7, [0x11] = 10,
		[0x17] = (uint8_t)(32 - __builtin_clz(f->size - 1)), [0x1c] = 1, (uint8_t)blocks,
		(uint8_t)(blocks >> 8), (uint8_t)(PFLASH_BLOCK >> 8), (uint8_t)(PFLASH_BLOCK >> 16),
	};
	return off >= CFI_AT && off - CFI_AT < CFI_SIZE ? table[off - CFI_AT] : 0;
}

static uint8_t byte_at(const struct pflash *f, uint64_t off)
{
	switch (f->command) {
	case CMD_READ_ARRAY: return f->data[off];
	case CMD_READ_ID: return off & 3 ? off & 1 ? DEVICE_ID : 0 : MAKER_INTEL;
	case CMD_CFI_QUERY: return cfi_byte(f, off);
	default: return f->status;
	}
}

static uint64_t flash_read(void *opaque, uint64_t off, unsigned width)
{
	struct pflash *f = opaque;
	uint64_t v = 0;
	if (f->command == CMD_READ_ARRAY) {
		memcpy(&v, f->data + off, width);
		return v;
	}
	for (unsigned n = 0; n < width; n++)
		v |= (uint64_t)byte_at(f, off + n) << (8 * n);
	return v;
}

/* Programming clears bits; only an erase sets them again. */
static void program(struct pflash *f, uint64_t off, unsigned width, uint64_t value)
{
	for (unsigned n = 0; n < width; n++)
		f->data[off + n] &= (uint8_t)(value >> (8 * n));
	f->status |= STATUS_READY;
	f->command = CMD_READ_STATUS;
}

static void erase(struct pflash *f, uint64_t off, uint8_t confirm)
{
	f->status |= STATUS_READY;
	if (confirm == CMD_CONFIRM)
		memset(f->data + (off & ~(uint64_t)(PFLASH_BLOCK - 1)), 0xff, PFLASH_BLOCK);
	else
		f->status |= STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR; /* command sequence error */
	f->command = CMD_READ_STATUS;
}

static void command_write(struct pflash *f, uint8_t command)
{
	switch (command) {
	case CMD_CLEAR_STATUS:
		f->status = 0;
		f->command = CMD_READ_ARRAY;
		break;
	case CMD_PROGRAM: case CMD_PROGRAM_ALT: case CMD_ERASE: case CMD_READ_STATUS: case CMD_READ_ID:
	case CMD_CFI_QUERY:
		f->command = command;
		break;
	default: f->command = CMD_READ_ARRAY; break;
	}
}

static void flash_write(void *opaque, uint64_t off, unsigned width, uint64_t value)
{
	struct pflash *f = opaque;
	switch (f->command) {
	case CMD_PROGRAM: case CMD_PROGRAM_ALT: program(f, off, width, value); break;
	case CMD_ERASE: erase(f, off, (uint8_t)value); break;
	default: command_write(f, (uint8_t)value); break;
	}
}

static const struct region_ops flash_ops = {.read = flash_read, .write = flash_write, .width_min = 1, .width_max = 8};

/* ---- life ---- */

static void pflash_reset(void *impl)
{
	struct pflash *f = impl;
	pthread_mutex_lock(&f->lock);
	f->command = CMD_READ_ARRAY;
	f->status = 0;
	pthread_mutex_unlock(&f->lock);
}

static void pflash_destroy(void *impl)
{
	struct pflash *f = impl;
	region_detach(f->region);
	if (f->data)
		munmap(f->data, f->size);
	close(f->fd);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct state_field pflash_fields[] = {
	STATE_FIELD(struct pflash, command, STATE_U8), STATE_FIELD(struct pflash, status, STATE_U8), STATE_END,
};

static const struct state_desc pflash_state = {.name = "pflash", .version = 1, .fields = pflash_fields};

static const struct dev_type pflash_type = {
	.name = "pflash", .destroy = pflash_destroy, .reset = pflash_reset, .state = &pflash_state,
	.state_size = sizeof(struct pflash),
};

int pflash_create(struct vm *vm, const struct pflash_config *cfg, struct err *e)
{
	struct pflash *f = calloc(1, sizeof(*f));
	if (!f) {
		close(cfg->fd);
		return err_set(e, -ENOMEM, "no memory for the flash");
	}
	f->fd = cfg->fd;
	f->size = cfg->size;
	pthread_mutex_init(&f->lock, NULL);
	pflash_reset(f);
	void *p = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	struct region r = {.space = REGION_MEMORY, .addr = cfg->addr, .size = f->size, .name = "pflash",
			   .ops = &flash_ops, .opaque = f, .lock = &f->lock};
	int ret = p == MAP_FAILED ? err_errno(e, errno, "cannot map the flash's contents") : 0;
	if (ret == 0) {
		f->data = p;
		ret = region_attach(vm->regions, &r, &f->region, e);
	}
	if (ret == 0)
		ret = dev_attach(vm, &pflash_type, NULL, f, e);
	if (ret < 0)
		pflash_destroy(f);
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data of a command goes through a buffer, since the guest may hand it over in pieces: written data is collected,
 * then executed; read data is there before the first piece is given. Meanwhile the endpoints refuse.
 */
#include "devices/usb/storage.h"

#include "base/bytes.h"
#include "core/dev.h"
#include "core/gmem.h"
#include "core/state.h"
#include "core/vm.h"
#include "devices/storage/scsi_disk.h"

#include <stdlib.h>
#include <string.h>

enum { EP_OUT = 0x01, EP_BULK_IN = 0x81, CBW_SIZE = 31, CSW_SIZE = 13, BUFFER_MAX = 32 << 20, BUFFER_KEPT = 1 << 20 };
enum { BULK_RESET = 0xff, GET_MAX_LUN = 0xfe, CSW_GOOD = 0, CSW_FAILED = 1, KEY_ABORTED = 0x0b, KEY_ILLEGAL = 5 };
#define CBW_SIGNATURE 0x43425355u
#define CSW_SIGNATURE 0x53425355u

/* Where the conversation is. BROKEN: nonsense came, both endpoints stall until the transport is reset (6.6.1). */
enum phase { COMMAND, DATA_OUT, BUSY, DATA_IN, STATUS, BROKEN, PHASES };

struct storage {
	struct usb_dev usb; /* first */
	struct vm *vm;
	struct scsi_disk disk;
	struct scsi_command command;
	struct xfer x;
	uint8_t *buffer;
	uint32_t room;
	bool running;   /* a request of the image is under way, perhaps of a command that was given up */
	bool forgotten; /* it was */
	/* saved */
	uint8_t phase, status;
	bool in;
	uint32_t tag, expected; /* the command's; bytes that the host wants to move */
	uint32_t have, done;    /* bytes that there are, that were moved */
	uint8_t cdb[SCSI_CDB];
};

static struct storage *storage_of(struct usb_dev *d)
{
	return container_of(d, struct storage, usb);
}

/* ---- descriptors ---- */

#define DEVICE(version, packet) { 18, USB_DT_DEVICE, 0x00, version, 0, 0, 0, packet, 0xf4, 0x1a, 0x20, 0x00, 0x00, \
				  0x01, 1, 2, 3, 1 }
#define INTERFACE 9, USB_DT_INTERFACE, 0, 0, 2, 8 /* storage */, 6 /* SCSI */, 0x50 /* bulk only */, 0
#define CONFIG(size, power) 9, USB_DT_CONFIG, size, 0, 1, 1, 0, 0xc0 /* powered by itself */, power
#define ENDPOINT(ep, packet) 7, USB_DT_ENDPOINT, ep, 2, (packet) & 0xff, (packet) >> 8, 0
#define COMPANION 6, USB_DT_SS_COMPANION, 15, 0, 0, 0

static const uint8_t device_high[] = DEVICE(2, 64), device_super[] = DEVICE(3, 9);
static const uint8_t config_high[] = { CONFIG(32, 0), INTERFACE, ENDPOINT(EP_OUT, 512), ENDPOINT(EP_BULK_IN, 512) };
static const uint8_t config_super[] = {
	CONFIG(44, 0), INTERFACE, ENDPOINT(EP_OUT, 1024), COMPANION, ENDPOINT(EP_BULK_IN, 1024), COMPANION,
};
/* Speeds from high on, no latency tolerance, no exit latency (USB 3.2, 9.6.2). */
static const uint8_t bos[] = { 5, USB_DT_BOS, 22, 0, 2, 7, 16, 2, 0, 0, 0, 0, 10, 16, 3, 0, 0x0c, 0, 2, 0, 0, 0 };
static const struct usb_desc desc_high = { device_high, config_high, sizeof(config_high), NULL, 0 };
static const struct usb_desc desc_super = { device_super, config_super, sizeof(config_super), bos, sizeof(bos) };
static const char *const strings[] = { "Panal", "Panal USB disk", NULL };

/* ---- commands ---- */

static void wake(struct storage *s)
{
	usb_wakeup(&s->usb, EP_OUT);
	usb_wakeup(&s->usb, EP_BULK_IN);
}

static void finished(struct scsi_command *c, uint8_t status)
{
	struct storage *s = c->opaque;

	s->running = false;
	if (!s->forgotten) {
		s->status = status == SCSI_GOOD ? CSW_GOOD : CSW_FAILED;
		s->have = (uint32_t)s->x.moved;
		s->phase = s->in && s->expected ? DATA_IN : STATUS;
		s->done = s->in ? 0 : s->have;
	}
	s->forgotten = false;
	wake(s);
}

static void execute(struct storage *s)
{
	s->phase = BUSY;
	s->running = true;
	xfer_reset(&s->x, s->vm->mem);
	if (s->expected && !xfer_add_host(&s->x, s->buffer, s->expected))
		s->x.room = 0;
	scsi_disk_execute(&s->disk, &s->command, s->cdb);
}

/* The guest's data goes where nothing is, or nothing comes: it is told why by the sense. */
static void refuse(struct storage *s, uint8_t key, uint8_t asc)
{
	s->command.key = key;
	s->command.asc = asc;
	s->command.ascq = 0;
	s->status = CSW_FAILED;
	s->have = s->done = 0;
	s->phase = !s->expected ? STATUS : s->in ? DATA_IN : DATA_OUT;
}

static bool make_room(struct storage *s, uint32_t size)
{
	uint8_t *b;

	if (size <= s->room && s->room <= BUFFER_KEPT)
		return true;
	if (size > BUFFER_MAX)
		return false;
	b = realloc(s->buffer, size ? size : 1);
	if (!b)
		return false;
	s->buffer = b;
	s->room = size;
	return true;
}

static int broken(struct storage *s)
{
	s->phase = BROKEN;
	s->usb.halted |= usb_ep_bit(EP_OUT) | usb_ep_bit(EP_BULK_IN);
	return USB_STALL;
}

static int take_command(struct storage *s, struct xfer *x)
{
	uint8_t b[CBW_SIZE];

	if (s->running)
		return USB_NAK;
	if (x->room != CBW_SIZE || xfer_get(x, b, sizeof(b)) != sizeof(b) || load_le32(b) != CBW_SIGNATURE || b[13] ||
	    b[14] < 1 || b[14] > SCSI_CDB)
		return broken(s);
	s->tag = load_le32(b + 4);
	s->expected = load_le32(b + 8);
	s->in = b[12] & 0x80;
	s->have = s->done = 0;
	s->status = CSW_GOOD;
	memset(s->cdb, 0, sizeof(s->cdb));
	memcpy(s->cdb, b + 15, b[14]);
	if (!make_room(s, s->expected))
		refuse(s, KEY_ILLEGAL, 0x24);
	else if (s->in || !s->expected)
		execute(s);
	else
		s->phase = DATA_OUT;
	wake(s);
	return 0;
}

static int take_data(struct storage *s, struct xfer *x)
{
	uint32_t left = s->expected - s->have;
	uint64_t n = x->room < left ? x->room : left;

	if (s->status == CSW_GOOD && n)
		xfer_get(x, s->buffer + s->have, n);
	else
		x->moved = n; /* of a command that failed already */
	s->have += (uint32_t)n;
	if (s->have < s->expected)
		return 0;
	if (s->status == CSW_GOOD) {
		execute(s);
	} else {
		s->phase = STATUS;
		wake(s);
	}
	return 0;
}

/* The data phase ends with the last byte, or with a transfer that is not filled. */
static int give_data(struct storage *s, struct xfer *x)
{
	uint64_t left = s->have - s->done, n = x->room < left ? x->room : left;

	if (n)
		xfer_put(x, s->buffer + s->done, n);
	s->done += (uint32_t)n;
	if (s->done == s->expected || n < x->room)
		s->phase = STATUS;
	return 0;
}

static int give_status(struct storage *s, struct xfer *x)
{
	uint8_t b[CSW_SIZE];

	store_le32(b, CSW_SIGNATURE);
	store_le32(b + 4, s->tag);
	store_le32(b + 8, s->done < s->expected ? s->expected - s->done : 0);
	b[12] = s->status;
	xfer_put(x, b, sizeof(b));
	s->phase = COMMAND;
	usb_wakeup(&s->usb, EP_OUT);
	return 0;
}

static int transfer(struct usb_dev *d, uint8_t ep, struct xfer *x)
{
	struct storage *s = storage_of(d);

	switch (s->phase) {
	case COMMAND: return ep == EP_OUT ? take_command(s, x) : USB_NAK;
	case DATA_OUT: return ep == EP_OUT ? take_data(s, x) : USB_NAK;
	case DATA_IN: return ep == EP_OUT ? USB_NAK : give_data(s, x);
	case STATUS: return ep == EP_OUT ? USB_NAK : give_status(s, x);
	case BUSY: return USB_NAK;
	default: return broken(s);
	}
}

/* ---- control and resets ---- */

static void give_up(struct storage *s)
{
	s->phase = COMMAND;
	s->forgotten = s->running;
}

static void bus_reset(struct usb_dev *d)
{
	give_up(storage_of(d));
}

static int control(struct usb_dev *d, const struct usb_setup *s, uint8_t *data)
{
	struct storage *st = storage_of(d);

	if (s->type == (USB_TYPE_CLASS | USB_TO_INTERFACE) && s->request == BULK_RESET) {
		give_up(st);
		return 0;
	}
	if (s->type != (USB_IN | USB_TYPE_CLASS | USB_TO_INTERFACE) || s->request != GET_MAX_LUN)
		return USB_STALL;
	data[0] = 0;
	return 1;
}

/* Until the transport is reset what is broken stays so, whatever the host clears (BOT 5.3.4). */
static void unhalted(struct usb_dev *d, uint8_t ep)
{
	if (storage_of(d)->phase == BROKEN)
		d->halted |= usb_ep_bit(ep);
}

static const struct usb_ops ops = { .control = control, .data = transfer, .reset = bus_reset, .unhalted = unhalted };

/* ---- life ---- */

static void storage_reset(void *impl)
{
	struct storage *s = impl;

	usb_reset(&s->usb);
	scsi_disk_reset(&s->disk);
	s->command.key = s->command.asc = s->command.ascq = 0;
	s->status = 0;
	s->in = false;
	s->tag = s->expected = s->have = s->done = 0;
	memset(s->cdb, 0, sizeof(s->cdb));
}

static void storage_run_state(void *impl, bool running)
{
	struct storage *s = impl;

	if (!running && s->disk.blk)
		blk_wait(s->disk.blk);
}

static void storage_destroy(void *impl)
{
	struct storage *s = impl;

	storage_run_state(s, false);
	usb_detach(&s->usb);
	blk_close(s->disk.blk);
	free(s->buffer);
	free(s);
}

/* Data that was on its way is not saved: its command fails as aborted, which drivers repeat (SPC-3 4.5.6). */
static int loaded(void *obj, uint16_t version, struct err *e)
{
	struct storage *s = obj;

	if (s->phase >= PHASES || s->usb.configuration > 1)
		return err_set(e, -EINVAL, "the saved state of a USB disk is not possible");
	s->forgotten = s->running;
	s->have = s->phase == DATA_OUT && s->have <= s->expected ? s->have : 0;
	s->done = s->done <= s->expected ? s->done : 0;
	if (s->phase == DATA_OUT || s->phase == BUSY || s->phase == DATA_IN) {
		uint32_t have = s->have;

		refuse(s, KEY_ABORTED, 0);
		s->have = s->phase == DATA_OUT ? have : 0;
	}
	return 0;
}

static const struct state_field fields[] = {
	USB_STATE_FIELDS(struct storage), STATE_FIELD(struct storage, phase, STATE_U8),
	STATE_FIELD(struct storage, status, STATE_U8), STATE_FIELD(struct storage, in, STATE_BOOL),
	STATE_FIELD(struct storage, tag, STATE_U32), STATE_FIELD(struct storage, expected, STATE_U32),
	STATE_FIELD(struct storage, have, STATE_U32), STATE_FIELD(struct storage, done, STATE_U32),
	STATE_ARRAY(struct storage, cdb, STATE_BYTES, SCSI_CDB), STATE_FIELD(struct storage, command.key, STATE_U8),
	STATE_FIELD(struct storage, command.asc, STATE_U8), STATE_FIELD(struct storage, command.ascq, STATE_U8),
	STATE_FIELD(struct storage, disk.attention, STATE_BOOL), STATE_END,
};

static const struct state_desc state = { .name = "usb-storage", .version = 1, .fields = fields, .after_load = loaded };

static const struct dev_type storage_type = {
	.name = "usb-storage", .destroy = storage_destroy, .reset = storage_reset, .run_state = storage_run_state,
	.state = &state, .state_size = sizeof(struct storage),
};

int usb_storage_create(struct vm *vm, const struct usb_storage_config *cfg, struct err *e)
{
	struct storage *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for a USB disk");
	s->vm = vm;
	s->disk.blk = cfg->blk;
	s->disk.attention = true;
	s->command = (struct scsi_command){ .x = &s->x, .done = finished, .opaque = s };
	s->usb = (struct usb_dev){ .ops = &ops, .desc = { [USB_HIGH] = &desc_high, [USB_SUPER] = &desc_super },
				   .string = strings, .serial = blk_info(cfg->blk)->serial };
	if (!s->usb.serial[0])
		s->usb.serial = "PANAL";
	ret = usb_attach(cfg->port, &s->usb, e);
	if (ret == 0)
		ret = dev_attach(vm, &storage_type, NULL, s, e);
	if (ret < 0) {
		s->disk.blk = NULL; /* the caller's still */
		storage_destroy(s);
	}
	return ret;
}

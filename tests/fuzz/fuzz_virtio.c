/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio device that was negotiated and set up, then: registers, ring bytes, descriptors, states. FUZZ_DEVICE names
 * the device. */
#include "drive.h"
#include "image.h"

#include "base/bytes.h"
#include "core/chardev.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/gpu.h"
#include "devices/virtio/input.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/scsi.h"
#include "devices/virtio/serial.h"
#include "devices/virtio/vsock.h"
#include "display/display.h"
#include "display/input.h"
#include "net/net.h"
#include "vdriver.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct fuzz {
	struct vd d;
	unsigned queues;
	uint64_t rings; /* the pages of all queues, one after the other */
	struct net net;
	struct virtio_balloon *balloon;
	struct input *input;
	struct loop *input_loop;
	struct display *display;
	struct virtio_gpu *gpu;
};

/* --- devices --- */

static void net_down(struct net *n) { }
static bool net_out(struct net *n, const struct iovec *iov, unsigned count) { return count % 2; }
static const struct net_ops net_test_ops = {.name = "fuzz", .close = net_down, .send = net_out};

static struct virtio_place place(struct fuzz *f)
{
	struct virtio_place p = vd_place(&f->d);
	p.id = "fuzzed";
	return p;
}

static ATTR_UNUSED unsigned make_rng(struct fuzz *f)
{
	struct virtio_rng_config cfg = {.place = place(f)};
	must(virtio_rng_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 1;
}

static ATTR_UNUSED unsigned make_blk(struct fuzz *f)
{
	struct virtio_blk_config cfg = {.place = place(f), .queues = 2, .blk = fuzz_image(&f->d.rig, 65536)};
	must(virtio_blk_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 2;
}

static ATTR_UNUSED unsigned make_scsi(struct fuzz *f)
{
	struct virtio_scsi_config cfg = {.place = place(f), .target_count = 2};
	cfg.target[1].cdrom = true;
	for (unsigned n = 0; n < 2; n++)
		cfg.target[n].blk = fuzz_image(&f->d.rig, 65536);
	must(virtio_scsi_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 3;
}

static ATTR_UNUSED unsigned make_console(struct fuzz *f)
{
	struct virtio_console_config cfg = {.place = place(f), .cols = 80, .rows = 25};
	must(chardev_open(&cfg.chardev, "none", f->d.rig.loop, NULL) == 0);
	must(virtio_console_create(f->d.rig.vm, &cfg, NULL, NULL) == 0);
	return 2;
}

static ATTR_UNUSED unsigned make_serial(struct fuzz *f)
{
	struct virtio_serial_config cfg = {.place = place(f), .count = 2, .port = {{.name = "a"}, {.name = "b"}}};
	must(chardev_open(&cfg.port[0].chardev, "none", f->d.rig.loop, NULL) == 0);
	must(chardev_open(&cfg.port[1].chardev, "none", f->d.rig.loop, NULL) == 0);
	must(virtio_serial_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 8;
}

static ATTR_UNUSED unsigned make_net(struct fuzz *f)
{
	f->net = (struct net){.ops = &net_test_ops, .loop = f->d.rig.loop};
	struct virtio_net_config cfg = {.place = place(f), .net = &f->net, .mac = {2, 0, 0, 0, 0, 1}};
	must(virtio_net_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 3;
}

static ATTR_UNUSED unsigned make_balloon(struct fuzz *f)
{
	struct virtio_balloon_config cfg = {.place = place(f)};
	must(virtio_balloon_create(f->d.rig.vm, &cfg, &f->balloon, NULL) == 0);
	return 4;
}

static ATTR_UNUSED unsigned make_vsock(struct fuzz *f)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/panal-fuzz-vsock-%d", (int)getpid());
	unlink(path);
	struct virtio_vsock_config cfg = {.place = place(f), .path = path};
	must(virtio_vsock_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 3;
}

static ATTR_UNUSED unsigned make_input(struct fuzz *f)
{
	must(loop_create(&f->input_loop, NULL, NULL) == 0); /* it goes after the machine */
	must(input_create(&f->input, f->input_loop, NULL) == 0);
	struct virtio_input_config cfg = {.place = place(f), .kind = VIRTIO_INPUT_TABLET, .input = f->input};
	must(virtio_input_create(f->d.rig.vm, &cfg, NULL) == 0);
	return 2;
}

static ATTR_UNUSED unsigned make_gpu(struct fuzz *f)
{
	struct virtio_gpu_config cfg = {.place = place(f)};
	must(display_create(&f->display, NULL) == 0);
	cfg.display = f->display;
	must(virtio_gpu_create(f->d.rig.vm, &cfg, &f->gpu, NULL) == 0);
	return 2;
}

/* A command of the graphics card that is nearly right, at the start of a chain's first buffer. */
static void gpu_command(struct fuzz *f, uint32_t a, uint64_t b)
{
	uint32_t words[20] = {(a >> 8 & 15) == 12 ? 0x300 + (a & 1) : 0x100 + (a >> 8 & 15)};
	for (unsigned n = 6; n < 20; n++)
		words[n] = b >> (n - 6) * 4 & (a >> 12 & 1 ? 3 : 0xff);
	vd_put(&f->d, b & 0xfff00, words, sizeof(words));
	if (a >> 13 & 1)
		display_refresh(f->display, 0);
	if (a >> 14 & 1 && virtio_gpu_resize(f->gpu, (uint16_t)b, (uint16_t)(b >> 16), NULL) < 0)
		return;
}

#define MAKER_(name) make_##name
#define MAKER(name) MAKER_(name)

/* --- what happens to it --- */

/* One descriptor out of 8 bytes: small addresses, lengths and numbers, so that much of it is nearly right. */
static void descriptor(struct fuzz *f, uint64_t at, uint64_t b)
{
	uint8_t d[16];
	store_le64(d, (b & 0xffffff) << (b >> 60 & 1 ? 40 : 0));
	store_le32(d + 8, b >> 24 & 0x3fff);
	store_le16(d + 12, b >> 38 & 7);
	store_le16(d + 14, b >> 41 & 15);
	vd_put(&f->d, at, d, 16);
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct fuzz *f = opaque;
	unsigned n = (a >> 3) % f->queues;
	uint64_t page = f->rings + n * 4096;
	uint8_t frame[64] = {2, 0, 0, 0, 0, 1};
	struct iovec v = {frame, a >> 8 & 63};
	struct virtio_balloon_info info;
	switch (a & 7) {
	case 0: vd_put(&f->d, page + (a >> 8) % 4088, &b, 8); break;
	case 1:
	case 2: descriptor(f, page + 16 * (a >> 8 & 15), b); break;
	case 3: /* offers what is there, and says so */
		f->d.q[n].avail_idx++;
		vd_put(&f->d, page + 1024 + 4 + 2 * (b & 15), &(uint16_t){b >> 8 & 15}, 2);
		vd_put(&f->d, page + 1024 + 2, &f->d.q[n].avail_idx, 2);
		virtio_kick(dev_find(f->d.rig.vm, "fuzzed")->impl, n);
		break;
	case 4: loop_once(f->d.rig.loop, 0); break;
	case 5: /* a request header of the block device, a command of the card */
		vd_put(&f->d, b & 0xfffff, &(uint64_t){a >> 8 & 15}, 8);
		vd_put(&f->d, (b & 0xfffff) + 8, &(uint64_t){a >> 12 & 255}, 8);
		break;
	case 6:
		if (f->net.client)
			f->net.client->recv(f->net.client->opaque, &v, 1);
		if (f->input)
			input_send(f->input, &(struct input_event){.kind = INPUT_ABS, .value = b & 0x7fff}, 1);
		if (f->gpu)
			gpu_command(f, a, b);
		if (f->balloon)
			virtio_balloon_query(f->balloon, &info);
		break;
	case 7:
		vm_pause(f->d.rig.vm);
		vm_resume(f->d.rig.vm);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {0};
	vd_up(&f.d, size && data[0] & 1);
	f.queues = MAKER(FUZZ_DEVICE)(&f);
	vd_find(&f.d);
	f.rings = f.d.heap;
	vd_start(&f.d, vd_features(&f.d), f.queues);
	struct fuzz_plan plan = {.range = {{REGION_MEMORY, VD_ECAM + (VD_SLOT << 15), 256},
					   {REGION_MEMORY, f.d.common, 64},
					   {REGION_MEMORY, f.d.device, 64},
					   {REGION_MEMORY, f.d.notify, 32},
					   {REGION_MEMORY, f.d.isr, 4},
					   {REGION_MEMORY, f.d.msix, 4096},
					   {REGION_PORT, 0xcf8, 8}},
				 .ranges = 7,
				 .other = other,
				 .opaque = &f};
	if (f.d.mmio) {
		plan.range[0] = (struct fuzz_range){REGION_MEMORY, VD_MMIO, 512};
		plan.ranges = 1;
	}
	fuzz_drive(&f.d.rig, &plan, data + (size ? 1 : 0), size ? size - 1 : 0);
	vd_down(&f.d);
	input_destroy(f.input);
	display_destroy(f.display);
	if (f.input_loop)
		loop_destroy(f.input_loop);
	return 0;
}

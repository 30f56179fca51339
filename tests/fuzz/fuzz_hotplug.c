/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that come and go behind two root ports, while their registers, the ports' and configuration space are written
 * at random, doorbells ring and requests are under way. */
#include "drive.h"

#include "block/block.h"
#include "devices/net/e1000.h"
#include "devices/net/rtl8139.h"
#include "devices/pci/pci_host.h"
#include "devices/pci/pci_port.h"
#include "devices/storage/nvme.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORTS = 2, PORT_SLOT = 0x1c, WINDOW = 0x200000, BAR_STEP = 0x20000, BRIDGE_NUMBERS = 0x18,
       DISK_BYTES = 65536, RAM = 1 << 20 };
#define ECAM UINT64_C(0xe0000000)
#define WINDOWS UINT64_C(0xf0000000)

struct slots {
	struct rig r;
	struct pci_port *port[PORTS];
	struct dev *dev[PORTS]; /* NULL: empty */
	bool let_go[PORTS];
	struct net net[PORTS];
};

static void must(int ret)
{
	if (ret)
		__builtin_trap();
}

static void net_down(struct net *n) { }
static bool net_out(struct net *n, const struct iovec *iov, unsigned count) { return count % 2; }
static const struct net_ops net_test_ops = {.name = "fuzz", .close = net_down, .send = net_out};

static struct blk *disk(struct slots *s)
{
	char path[] = "/tmp/panal-fuzz-XXXXXX";
	struct blk_open o = {.path = path, .loop = s->r.loop, .engine = "threads"};
	struct blk *b;
	int fd = mkstemp(path);

	must(fd < 0 || ftruncate(fd, DISK_BYTES) < 0);
	close(fd);
	must(blk_open(&b, &o, NULL));
	unlink(path);
	return b;
}

static void make(struct slots *s, unsigned n, unsigned kind)
{
	struct vm *vm = s->r.vm;
	struct pci_bus *bus = pci_port_bus(s->port[n]);
	struct virtio_place place = {.bus = bus};
	struct virtio_net_config net = {.place = place, .mac = {2, 0, 0, 0, 0, 1}, .net = &s->net[n]};
	struct nic_config nic = {.bus = bus, .mac = {2, 0, 0, 0, 0, 2}, .net = &s->net[n]};

	s->net[n] = (struct net){.ops = &net_test_ops, .loop = s->r.loop};
	switch (kind % 8) {
	case 0: must(virtio_rng_create(vm, &(struct virtio_rng_config){.place = place}, NULL)); break;
	case 1: must(virtio_balloon_create(vm, &(struct virtio_balloon_config){.place = place}, NULL, NULL)); break;
	case 2: must(virtio_net_create(vm, &net, NULL)); break;
	case 3: must(e1000_create(vm, E1000_82540EM, &nic, NULL)); break;
	case 4: must(e1000_create(vm, E1000_82574L, &nic, NULL)); break;
	case 5: must(rtl8139_create(vm, &nic, NULL)); break;
	case 6: must(nvme_create(vm, &(struct nvme_config){.bus = bus, .blk = disk(s)}, NULL)); break;
	default: must(virtio_blk_create(vm, &(struct virtio_blk_config){.place = place, .blk = disk(s)}, NULL)); break;
	}
}

static void come(struct slots *s, unsigned n, unsigned kind)
{
	make(s, n, kind);
	s->dev[n] = list_entry(s->r.vm->devs.prev, struct dev, node);
	vm_dev_begin(s->r.vm, s->dev[n]);
	if (s->dev[n]->type->run_state) /* the rig's machine is not started */
		s->dev[n]->type->run_state(s->dev[n]->impl, true);
	pci_port_changed(s->port[n]);
}

static void go(struct slots *s, unsigned n)
{
	vm_dev_remove(s->r.vm, s->dev[n]);
	s->dev[n] = NULL;
	s->let_go[n] = false;
	pci_port_changed(s->port[n]);
}

/* As a guest that knows what it does: the device's windows, and decoding on. */
static void configure(struct slots *s, unsigned n)
{
	uint64_t at = ECAM + (uint64_t)(n + 1) * 0x100000;

	for (unsigned bar = 0; bar < PCI_BARS; bar++)
		rig_store(&s->r, at + PCI_BAR0 + 4 * bar, 4, WINDOWS + n * WINDOW + bar * BAR_STEP);
	rig_store(&s->r, at + PCI_COMMAND, 2, 7);
}

static void ejected(void *opaque, struct pci_port *p)
{
	struct slots *s = opaque;

	s->let_go[p == s->port[1]] = true;
}

static void other(void *opaque, uint32_t a, uint64_t b)
{
	struct slots *s = opaque;
	unsigned n = a & 1;

	switch (a >> 1 & 7) {
	case 0:
	case 1:
		if (!s->dev[n])
			come(s, n, a >> 4);
		else if (s->let_go[n])
			go(s, n);
		else if ((a >> 4 & 7) == 0)
			go(s, n);
		break;
	case 2: configure(s, n); break;
	case 3: rig_store(&s->r, ECAM + 0xe0000 + n * 0x1000 + BRIDGE_NUMBERS, 4, (n + 1) * 0x10100); break;
	case 4: must(pci_port_push(s->port[n], NULL) && s->dev[n]); break;
	case 5: rig_store(&s->r, WINDOWS + n * WINDOW + 0x3000 + (a >> 4 & 12), 4, b); break; /* doorbells */
	default: loop_once(s->r.loop, 0); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct slots s;
	struct pci_host_config hc = {.ecam_addr = ECAM, .ecam_buses = 4, .fixed_slots = 25};
	struct fuzz_plan plan = {.other = other, .opaque = &s};
	struct pci_bus *bus;

	s = (struct slots){0};
	rig_up(&s.r, 0);
	must(gmem_add_ram(s.r.vm->mem, 0, RAM, "ram", false, NULL));
	must(pci_host_create(s.r.vm, &hc, &bus, NULL));
	for (unsigned n = 0; n < PORTS; n++) {
		struct pci_port_config pc = {.bus = bus, .slot = PORT_SLOT, .function = (uint8_t)n,
					     .number = (uint8_t)(n + 1)};

		must(pci_port_create(s.r.vm, &pc, &s.port[n], NULL));
		pci_port_on_eject(s.port[n], ejected, &s);
		rig_store(&s.r, ECAM + 0xe0000 + n * 0x1000 + BRIDGE_NUMBERS, 4, (n + 1) * 0x10100);
		plan.range[plan.ranges++] = (struct fuzz_range){REGION_MEMORY, ECAM + 0xe0000 + n * 0x1000, 0x100};
		plan.range[plan.ranges++] = (struct fuzz_range){REGION_MEMORY, ECAM + (n + 1) * 0x100000, 0x100};
		plan.range[plan.ranges++] = (struct fuzz_range){REGION_MEMORY, WINDOWS + n * WINDOW, 6 * BAR_STEP};
	}
	fuzz_drive(&s.r, &plan, data, size);
	rig_down(&s.r);
	return 0;
}

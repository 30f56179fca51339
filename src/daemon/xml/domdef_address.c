/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Controllers and places on buses: what the document gives stays, the rest is filled in. On a board whose places follow
 * from the order of its devices, the document says where they are. */
#include "daemon/xml/domdef_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUSES = 256, SLOTS = 32, FUNCTIONS = 8 };
enum { PORTS_SLOT = 0x1c }; /* where the machine's root ports begin, eight in a slot; the next eight are a slot below */
enum { UNITS_MAX = 16384, SATA_PORTS = 6, SCSI_UNITS = 7, IDE_UNITS = 2, IDE_BUSES = 2 };

struct places {
	struct domdef *d;
	const struct domdef_machine *machine;
	uint8_t used[BUSES][SLOTS]; /* a bit for each function */
	struct err *e;
};

static bool same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* ---- controllers ---- */

static struct domdef_controller *find_controller(const struct domdef *d, int type, uint64_t index)
{
	for (unsigned n = 0; n < d->controllers.n; n++)
		if (d->controllers.v[n]->type == type && d->controllers.v[n]->index.set &&
		    d->controllers.v[n]->index.v == index)
			return d->controllers.v[n];
	return NULL;
}

static bool pci_root(const struct domdef_controller *c)
{
	return c->type == DOM_CONTROLLER_PCI && (same(c->model, "pci-root") || same(c->model, "pcie-root"));
}

/* Parts of one USB 2 controller share an index. */
static bool companion(const struct domdef_controller *c)
{
	return c->type == DOM_CONTROLLER_USB && c->model && !strncmp(c->model, "ich9-uhci", 9);
}

static int number_controllers(struct domdef *d, struct err *e)
{
	for (unsigned n = 0; n < d->controllers.n; n++) {
		struct domdef_controller *c = d->controllers.v[n];
		uint64_t index = c->type == DOM_CONTROLLER_PCI && !pci_root(c);

		if (c->index.set)
			continue;
		while (!companion(c) && find_controller(d, c->type, index))
			index++;
		c->index = xnum(index);
	}
	for (unsigned n = 0; n < d->controllers.n; n++) {
		const struct domdef_controller *c = d->controllers.v[n];

		if (c->index.v >= XMAP_LIST_MAX)
			return err_set(e, -EBADMSG,
				       "Invalid value for attribute 'index' in element 'controller': '%llu'",
				       (unsigned long long)c->index.v);
		if (!companion(c) && find_controller(d, c->type, c->index.v) != c &&
		    !companion(find_controller(d, c->type, c->index.v)))
			return err_set(e, -EBADMSG, "Multiple '%s' controllers with index '%llu'",
			               c->type == DOM_CONTROLLER_PCI ? "pci" : "same", (unsigned long long)c->index.v);
	}
	return 0;
}

static struct domdef_controller *need_controller(struct domdef *d, int type, uint64_t index, const char *model)
{
	struct domdef_controller *c = find_controller(d, type, index);
	unsigned at = XMAP_LIST_MAX;

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->type = type;
	c->index = xnum(index);
	for (unsigned n = 0; n < d->controllers.n; n++) /* after the last of its type */
		if (d->controllers.v[n]->type == type)
			at = n + 1;
	if (xstr_set(&c->model, model) == 0 && xlist_insert(&d->controllers, at, c) == 0)
		return c;
	free(c->model);
	free(c);
	return NULL;
}

/* ---- places on drive buses ---- */

static int controller_of_bus(int bus)
{
	static const uint8_t table[][2] = {
		{ DOM_BUS_SATA, DOM_CONTROLLER_SATA }, { DOM_BUS_SCSI, DOM_CONTROLLER_SCSI },
		{ DOM_BUS_IDE, DOM_CONTROLLER_IDE }, { DOM_BUS_FDC, DOM_CONTROLLER_FDC },
	};

	for (size_t n = 0; n < COUNT_OF(table); n++)
		if (table[n][0] == bus)
			return table[n][1];
	return DOM_CONTROLLER_NONE;
}

static void place_drive(struct domdef_disk *k)
{
	struct domdef_address *a = &k->dev.address;
	uint64_t index = (uint64_t)domdef_target_index(k->target), unit = index, controller = 0, bus = 0;

	if (k->bus == DOM_BUS_SATA) {
		controller = index / SATA_PORTS;
		unit = index % SATA_PORTS;
	} else if (k->bus == DOM_BUS_SCSI) {
		controller = index / SCSI_UNITS;
		unit = index % SCSI_UNITS;
	} else if (k->bus == DOM_BUS_IDE) {
		controller = index / (IDE_UNITS * IDE_BUSES);
		bus = index / IDE_UNITS % IDE_BUSES;
		unit = index % IDE_UNITS;
	}
	a->type = DOM_ADDRESS_DRIVE;
	a->controller = xnum(controller);
	a->bus = xnum(bus);
	a->target = xnum(0);
	a->unit = xnum(unit);
}

static int check_drive(const struct places *p, const struct domdef_disk *k)
{
	const struct domdef_address *a = &k->dev.address;

	if (a->type != DOM_ADDRESS_DRIVE)
		return err_set(p->e, -EBADMSG, "disk '%s' on this bus needs an address of type 'drive'", k->target);
	if (a->controller.v >= XMAP_LIST_MAX || a->unit.v >= (k->bus == DOM_BUS_SATA ? SATA_PORTS : UNITS_MAX))
		return err_set(p->e, -EBADMSG, "disk '%s' has an impossible address: controller %llu, unit %llu",
		               k->target, (unsigned long long)a->controller.v, (unsigned long long)a->unit.v);
	for (unsigned n = 0; n < p->d->disks.n; n++) {
		const struct domdef_disk *o = p->d->disks.v[n];
		const struct domdef_address *b = &o->dev.address;

		if (o != k && o->bus == k->bus && b->type == a->type && b->controller.v == a->controller.v &&
		    b->bus.v == a->bus.v && b->target.v == a->target.v && b->unit.v == a->unit.v)
			return err_set(p->e, -EBADMSG, "disks '%s' and '%s' have the same drive address", k->target,
			               o->target);
	}
	return 0;
}

static int place_drives(struct places *p)
{
	struct domdef *d = p->d;

	for (unsigned n = 0; n < d->disks.n; n++) {
		struct domdef_disk *k = d->disks.v[n];
		int type = controller_of_bus(k->bus), ret;

		if (!type)
			continue;
		if (!k->dev.address.type)
			place_drive(k);
		ret = check_drive(p, k);
		if (ret < 0)
			return ret;
		if (!need_controller(d, type, k->dev.address.controller.v,
		                     type == DOM_CONTROLLER_SCSI ? "virtio-scsi" : NULL))
			return no_memory(p->e);
	}
	return 0;
}

/* ---- virtio-serial ports ---- */

static bool on_virtio_serial(const struct domdef_chr *c)
{
	return same(c->target_type, "virtio");
}

static int place_port(struct domdef *d, struct domdef_chr *c, unsigned *next)
{
	if (!on_virtio_serial(c))
		return 0;
	if (!need_controller(d, DOM_CONTROLLER_VIRTIO_SERIAL, 0, NULL))
		return -ENOMEM;
	if (c->dev.address.type)
		return 0;
	c->dev.address.type = DOM_ADDRESS_VIRTIO_SERIAL;
	c->dev.address.controller = xnum(0);
	c->dev.address.bus = xnum(0);
	return xstr_printf(&c->dev.address.port, "%u", (*next)++);
}

static unsigned ports_taken(const struct xlist *l, unsigned next)
{
	for (unsigned n = 0; n < l->n; n++) {
		const struct domdef_chr *c = l->v[n];
		unsigned long port = c->dev.address.port ? strtoul(c->dev.address.port, NULL, 10) : 0;

		if (on_virtio_serial(c) && port >= next && port < XMAP_LIST_MAX)
			next = (unsigned)port + 1;
	}
	return next;
}

static int place_ports(struct places *p)
{
	struct domdef *d = p->d;
	unsigned channel = ports_taken((struct xlist *)&d->channels, ports_taken((struct xlist *)&d->consoles, 1));
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < d->consoles.n; n++)
		ret = place_port(d, d->consoles.v[n], &channel);
	for (unsigned n = 0; ret == 0 && n < d->channels.n; n++)
		ret = place_port(d, d->channels.v[n], &channel);
	return ret < 0 ? no_memory(p->e) : 0;
}

/* ---- PCI ---- */

static void set_pci(struct domdef_address *a, unsigned bus, unsigned slot, unsigned function)
{
	free(a->port);
	*a = (struct domdef_address){
		.type = DOM_ADDRESS_PCI,
		.domain = xhex(0),
		.bus = xhex(bus),
		.slot = xhex(slot),
		.function = xhex(function),
	};
}

static bool take(struct places *p, unsigned bus, unsigned slot, unsigned function)
{
	if (p->used[bus][slot] & 1u << function)
		return false;
	p->used[bus][slot] |= (uint8_t)(1u << function);
	return true;
}

/* What the document gives. Attributes that are left out are 0. */
static int note_given(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	struct places *p = opaque;
	struct domdef_address *a = &dev->address;

	if (a->type != DOM_ADDRESS_PCI)
		return 0;
	a->bus.hex = a->slot.hex = true;
	if (!a->slot.set && !a->bus.set && !a->function.set) { /* a wish for PCI, no place */
		free(a->port);
		*a = (struct domdef_address){ 0 };
		return 0;
	}
	a->domain.set = a->bus.set = a->slot.set = a->function.set = true;
	if (a->domain.v || a->bus.v >= BUSES || a->slot.v >= SLOTS || a->function.v >= FUNCTIONS)
		return err_set(p->e, -EBADMSG, "Invalid PCI address %04llx:%02llx:%02llx.%llx of a device '%s'",
		               (unsigned long long)a->domain.v, (unsigned long long)a->bus.v,
		               (unsigned long long)a->slot.v, (unsigned long long)a->function.v, k->name);
	if (!take(p, (unsigned)a->bus.v, (unsigned)a->slot.v, (unsigned)a->function.v))
		return err_set(p->e, -EBADMSG, "Attempted double use of PCI Address %04llx:%02llx:%02llx.%llx",
		               (unsigned long long)a->domain.v, (unsigned long long)a->bus.v,
		               (unsigned long long)a->slot.v, (unsigned long long)a->function.v);
	return 0;
}

static bool controller_on_pci(const struct domdef_controller *c, const struct domdef_machine *m)
{
	switch (c->type) {
	case DOM_CONTROLLER_SCSI:
	case DOM_CONTROLLER_SATA:
	case DOM_CONTROLLER_VIRTIO_SERIAL:
		return true;
	case DOM_CONTROLLER_IDE:
		return m->pci == DOMDEF_PCI_FLAT;
	case DOM_CONTROLLER_USB:
		return !same(c->model, "none");
	case DOM_CONTROLLER_PCI:
		return !pci_root(c);
	default:
		return false;
	}
}

static bool model_in(const char *model, const char *const *names)
{
	for (; model && *names; names++)
		if (!strncmp(model, *names, strlen(*names)))
			return true;
	return false;
}

static bool on_pci(const struct places *p, const struct domdef_kind *k, const struct domdev *dev)
{
	static const char *const sounds[] = { "ich", "ac97", "es1370", "virtio", NULL };
	const struct domdef_other *o = (const struct domdef_other *)dev;

	if (!strcmp(k->name, "disk"))
		return ((const struct domdef_disk *)dev)->bus == DOM_BUS_VIRTIO;
	if (!strcmp(k->name, "controller"))
		return controller_on_pci((const struct domdef_controller *)dev, p->machine);
	if (!strcmp(k->name, "video"))
		return !same(((const struct domdef_video *)dev)->model, "none");
	if (!strcmp(k->name, "memballoon"))
		return !same(((const struct domdef_memballoon *)dev)->model, "none");
	if (!strcmp(k->name, "hostdev"))
		return same(((const struct domdef_hostdev *)dev)->type, "pci") ||
		       same(((const struct domdef_hostdev *)dev)->type, "mdev");
	if (!strcmp(k->name, "input"))
		return same(((const struct domdef_input *)dev)->bus, "virtio");
	if (!strcmp(k->name, "sound"))
		return model_in(o->model, sounds);
	if (!strcmp(k->name, "watchdog"))
		return same(((const struct domdef_watchdog *)dev)->model, "i6300esb");
	return !strcmp(k->name, "interface") || !strcmp(k->name, "rng") || !strcmp(k->name, "vsock") ||
	       !strcmp(k->name, "filesystem") || !strcmp(k->name, "shmem") || !strcmp(k->name, "crypto");
}

/* Root ports are above the slots of the board's devices, eight in a slot; chassis and port numbers follow from index
 * and place. */
static const uint8_t port_slots[] = { PORTS_SLOT, PORTS_SLOT - 1, 0x1a, 0x19, 0x1d, 0x1e };

/* Functions of a slot belong together: only beside another root port. */
static bool port_fits(const struct places *p, unsigned slot)
{
	if (!p->used[0][slot])
		return true;
	for (unsigned n = 0; n < p->d->controllers.n; n++) {
		const struct domdef_controller *o = p->d->controllers.v[n];
		const struct domdef_address *a = &o->dev.address;

		if (same(o->model, "pcie-root-port") && a->type == DOM_ADDRESS_PCI && !a->bus.v && a->slot.v == slot &&
		    !a->function.v && a->multifunction == DOM_ON)
			return true;
	}
	return false;
}

static int place_root_port(struct places *p, struct domdef_controller *c)
{
	struct domdef_address *a = &c->dev.address;

	for (size_t n = 0; a->type != DOM_ADDRESS_PCI && n < COUNT_OF(port_slots); n++) {
		unsigned slot = port_slots[n], function = 0;

		while (function < FUNCTIONS && p->used[0][slot] & 1u << function)
			function++;
		if (function == FUNCTIONS || !port_fits(p, slot))
			continue;
		take(p, 0, slot, function);
		set_pci(a, 0, slot, function);
		a->multifunction = function ? DOM_SWITCH_ABSENT : DOM_ON;
	}
	if (a->type != DOM_ADDRESS_PCI)
		return err_set(p->e, -ENOTSUP, "No more available PCI slots");
	if (!c->chassis.set)
		c->chassis = xnum(c->index.v);
	if (!c->target_port.set)
		c->target_port = xhex(a->slot.v << 3 | a->function.v);
	return !c->model_name && xstr_set(&c->model_name, "pcie-root-port") < 0 ? no_memory(p->e) : 0;
}

static int place_root_ports(struct places *p)
{
	int ret = 0;

	for (unsigned n = 0; ret == 0 && n < p->d->controllers.n; n++)
		if (same(p->d->controllers.v[n]->model, "pcie-root-port"))
			ret = place_root_port(p, p->d->controllers.v[n]);
	return ret;
}

/* Parts that a chipset has at a fixed place. */
static bool place_fixed(struct places *p, const struct domdef_kind *k, struct domdev *dev)
{
	const struct domdef_controller *c = (const struct domdef_controller *)dev;
	bool express = p->machine->pci == DOMDEF_PCI_EXPRESS;
	unsigned slot = 0, function = 0;

	if (!strcmp(k->name, "controller") && c->index.v == 0 && c->type == DOM_CONTROLLER_SATA && express)
		slot = 0x1f, function = 2;
	else if (!strcmp(k->name, "controller") && c->type == DOM_CONTROLLER_IDE)
		slot = 1, function = 1;
	else if (!strcmp(k->name, "controller") && c->type == DOM_CONTROLLER_USB && same(c->model, "piix3-uhci"))
		slot = 1, function = 2;
	else if (!strcmp(k->name, "video") && p->d->videos.v[0] == (struct domdef_video *)dev)
		slot = express ? 1 : 2;
	else if (!strcmp(k->name, "sound") && same(((struct domdef_other *)dev)->model, "ich9") && express)
		slot = 0x1b;
	if (!slot || !take(p, 0, slot, function))
		return false;
	set_pci(&dev->address, 0, slot, function);
	return true;
}

static int place_express(struct places *p, struct domdev *dev)
{
	uint64_t index = 1;
	int ret;

	for (unsigned n = 0; n < p->d->controllers.n; n++) {
		struct domdef_controller *c = p->d->controllers.v[n];

		if (c->type == DOM_CONTROLLER_PCI && same(c->model, "pcie-root-port") && c->index.v < BUSES &&
		    !p->used[c->index.v][0]) {
			take(p, (unsigned)c->index.v, 0, 0);
			set_pci(&dev->address, (unsigned)c->index.v, 0, 0);
			return 0;
		}
	}
	while (find_controller(p->d, DOM_CONTROLLER_PCI, index))
		index++;
	if (index >= BUSES)
		return err_set(p->e, -ENOTSUP, "No more available PCI slots");
	if (!need_controller(p->d, DOM_CONTROLLER_PCI, index, "pcie-root-port"))
		return no_memory(p->e);
	ret = place_root_port(p, find_controller(p->d, DOM_CONTROLLER_PCI, index));
	return ret == 0 ? place_express(p, dev) : ret;
}

static bool ports_taken_all(const struct places *p)
{
	for (unsigned n = 1; n <= DOMDEF_PORTS_MAX; n++) {
		const struct domdef_controller *c = find_controller(p->d, DOM_CONTROLLER_PCI, n);

		if (!c || (same(c->model, "pcie-root-port") && !p->used[n][0]))
			return false;
	}
	return true;
}

static int place_flat(struct places *p, struct domdev *dev)
{
	/* Slot 1 is a chipset's or a display's, 2 a display's. */
	for (unsigned slot = p->machine->pci == DOMDEF_PCI_BOARD ? DOMDEF_SLOT_FIRST : 3; slot <= DOMDEF_SLOT_LAST;
	     slot++)
		if (!p->used[0][slot]) {
			take(p, 0, slot, 0);
			set_pci(&dev->address, 0, slot, 0);
			return 0;
		}
	return err_set(p->e, -ENOTSUP, "No more available PCI slots");
}

bool domdef_board_device(const struct domdef *d, const struct domdef_kind *k, const struct domdev *dev)
{
	const struct domdef_controller *c = (const struct domdef_controller *)dev;

	if (!strcmp(k->name, "disk"))
		return ((const struct domdef_disk *)dev)->bus == DOM_BUS_VIRTIO;
	if (!strcmp(k->name, "interface"))
		return true;
	if (!strcmp(k->name, "memballoon"))
		return same(((const struct domdef_memballoon *)dev)->model, "virtio");
	if (!strcmp(k->name, "controller") && c->type == DOM_CONTROLLER_VIRTIO_SERIAL && c->index.v == 0)
		for (unsigned n = 0; n < d->consoles.n; n++)
			if (on_virtio_serial(d->consoles.v[n]))
				return true;
	return !strcmp(k->name, "rng") || !strcmp(k->name, "vsock");
}

/* What the board has on bus 0 alone. */
static bool on_bus_0(const struct domdef_kind *k, const struct domdev *dev)
{
	const struct domdef_controller *c = (const struct domdef_controller *)dev;

	return !strcmp(k->name, "watchdog") || (!strcmp(k->name, "controller") && c->type == DOM_CONTROLLER_USB);
}

static int place_pci(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	struct places *p = opaque;
	bool board = domdef_board_device(p->d, k, dev);

	if (dev->address.type || !on_pci(p, k, dev))
		return 0;
	if (!board && p->machine->pci == DOMDEF_PCI_BOARD)
		return 0;
	if (place_fixed(p, k, dev))
		return 0;
	/* Behind a root port it can be unplugged; when these are all taken, the board's devices still have a place. */
	if (p->machine->pci == DOMDEF_PCI_EXPRESS && !on_bus_0(k, dev) && !(board && ports_taken_all(p)))
		return place_express(p, dev);
	return place_flat(p, dev);
}

/* ---- all of it ---- */

static int add_buses(struct places *p)
{
	const char *root = p->machine->pci == DOMDEF_PCI_FLAT ? "pci-root" : "pcie-root";
	bool usb = false;

	if (!need_controller(p->d, DOM_CONTROLLER_PCI, 0, root))
		return no_memory(p->e);
	for (unsigned n = 0; n < p->d->disks.n; n++)
		usb |= p->d->disks.v[n]->bus == DOM_BUS_USB;
	for (unsigned n = 0; n < p->d->inputs.n; n++)
		usb |= same(p->d->inputs.v[n]->bus, "usb");
	if (usb && !need_controller(p->d, DOM_CONTROLLER_USB, 0,
	                            p->machine->pci == DOMDEF_PCI_FLAT ? "piix3-uhci" : "qemu-xhci"))
		return no_memory(p->e);
	return 0;
}

static int place_all_pci(struct places *p)
{
	int ret;

	p->used[0][0] = 0xff; /* the host bridge */
	if (p->machine->pci == DOMDEF_PCI_EXPRESS)
		p->used[0][0x1f] |= 1u << 0 | 1u << 3; /* LPC bridge and SMBus */
	else if (p->machine->pci == DOMDEF_PCI_FLAT)
		p->used[0][1] |= 1u << 0 | 1u << 3; /* ISA bridge and power management */
	ret = domdef_each(p->d, note_given, p);
	if (ret == 0 && p->machine->pci == DOMDEF_PCI_EXPRESS)
		ret = place_root_ports(p);
	return ret == 0 ? domdef_each(p->d, place_pci, p) : ret;
}

int domdef_assign_addresses(struct domdef *d, struct err *e)
{
	struct places *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return no_memory(e);
	p->d = d;
	p->e = e;
	p->machine = domdef_machine_find(d->os.machine);
	ret = number_controllers(d, e);
	if (ret == 0)
		ret = add_buses(p);
	if (ret == 0)
		ret = place_drives(p);
	if (ret == 0)
		ret = place_ports(p);
	if (ret == 0)
		ret = place_all_pci(p);
	free(p);
	return ret;
}

/* ---- root ports of a running machine ---- */

static int is_at(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	const struct domdef_address *a = &dev->address, *b = opaque;

	return a->type == DOM_ADDRESS_PCI && a->bus.v == b->bus.v && a->slot.v == b->slot.v &&
	       a->function.v == b->function.v;
}

static int takes_bus(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	return dev->address.type == DOM_ADDRESS_PCI && dev->address.bus.v == *(unsigned *)opaque;
}

unsigned domdef_ports(const struct domdef *d)
{
	unsigned named = 0, taken = 0, count;

	for (unsigned n = 1; n <= DOMDEF_PORTS_MAX; n++) {
		const struct domdef_controller *c = find_controller(d, DOM_CONTROLLER_PCI, n);

		if (c && same(c->model, "pcie-root-port"))
			named = n;
		taken += domdef_each((struct domdef *)(uintptr_t)d, takes_bus, &n) != 0;
	}
	count = taken + DOMDEF_PORTS_FREE > named ? taken + DOMDEF_PORTS_FREE : named;
	if (count < DOMDEF_PORTS)
		count = DOMDEF_PORTS;
	return count < DOMDEF_PORTS_MAX ? count : DOMDEF_PORTS_MAX;
}

/* Where the machine has it; elsewhere where the document has something else there, if anywhere. */
static void place_port_at(struct domdef *d, struct domdef_controller *c, unsigned number)
{
	unsigned slot = PORTS_SLOT - number / FUNCTIONS, function = number % FUNCTIONS;
	struct domdef_address at = { 0 };

	for (unsigned n = 0; n < FUNCTIONS; n++) {
		set_pci(&at, 0, slot, (function + n) % FUNCTIONS);
		if (domdef_each(d, is_at, &at))
			continue;
		set_pci(&c->dev.address, 0, slot, (function + n) % FUNCTIONS);
		c->dev.address.multifunction = c->dev.address.function.v ? DOM_SWITCH_ABSENT : DOM_ON;
		return;
	}
}

int domdef_name_ports(struct domdef *d, struct err *e)
{
	unsigned count = domdef_ports(d);

	for (unsigned n = 1; n <= count; n++) {
		struct domdef_controller *c = find_controller(d, DOM_CONTROLLER_PCI, n);

		if (c)
			continue;
		c = need_controller(d, DOM_CONTROLLER_PCI, n, "pcie-root-port");
		if (!c || xstr_set(&c->model_name, "pcie-root-port") < 0)
			return no_memory(e);
		place_port_at(d, c, n - 1);
		c->chassis = xnum(n);
		c->target_port = xhex(c->dev.address.slot.v << 3 | c->dev.address.function.v);
	}
	return 0;
}

static bool port_free(const struct domdef *d, unsigned n)
{
	const struct domdef_controller *c = find_controller(d, DOM_CONTROLLER_PCI, n);

	return c && same(c->model, "pcie-root-port") && !domdef_each((struct domdef *)(uintptr_t)d, takes_bus, &n);
}

int domdef_place_at_port(const struct domdef *d, struct domdef_device *dev, struct err *e)
{
	struct places p = { .d = (struct domdef *)(uintptr_t)d, .machine = domdef_machine_find(d->os.machine), .e = e };
	struct domdef_address *a = &dev->dev->address;
	struct domdef_disk *k = (struct domdef_disk *)dev->dev;

	if (!strcmp(dev->kind->name, "disk") && k->bus != DOM_BUS_VIRTIO && !(k->bus == DOM_BUS_NONE && k->target &&
									       k->target[0] == 'v'))
		return 0;
	if (strcmp(dev->kind->name, "disk") && !on_pci(&p, dev->kind, dev->dev))
		return 0;
	if (a->type && a->type != DOM_ADDRESS_PCI)
		return err_set(e, -ENOTSUP, "this type of address is not possible for a device '%s'", dev->kind->name);
	if (a->type && (a->bus.set || a->slot.set || a->function.set)) {
		if (a->bus.v >= 1 && a->bus.v <= domdef_ports(d) && !a->slot.v && !a->function.v)
			return 0;
		return err_set(e, -ENOTSUP, "Bus %u does not support hotplugging; pcie-root-ports, 1 to %u, do",
			       (unsigned)a->bus.v, domdef_ports(d));
	}
	for (unsigned n = 1; n <= domdef_ports(d); n++)
		if (port_free(d, n)) {
			set_pci(a, n, 0, 0);
			return 0;
		}
	return err_set(e, -ENOSPC, "No more available PCI slots");
}

/* ---- aliases of a running machine ---- */

struct naming {
	const struct domdef *d;
	const struct domdef_kind *kind;
	unsigned next; /* beyond the highest that is taken */
};

static unsigned beyond_aliases(const struct domdef *d, const struct domdef_kind *k)
{
	const struct xlist *l = domdef_list(d, k);
	size_t len = k->alias ? strlen(k->alias) : 0;
	unsigned next = 0;

	for (unsigned n = 0; len && n < l->n; n++) {
		const char *alias = ((const struct domdev *)l->v[n])->alias;

		if (!alias || strncmp(alias, k->alias, len) || !alias[len] ||
		    alias[len + strspn(alias + len, "0123456789")] || strlen(alias) > len + 6)
			continue;
		if (strtoul(alias + len, NULL, 10) >= next)
			next = (unsigned)strtoul(alias + len, NULL, 10) + 1;
	}
	return next;
}

static int name_controller(struct domdef_controller *c)
{
	static const char *const names[] = { "", "ide", "fdc", "scsi", "sata", "virtio-serial", "ccid", "usb", "pci.",
					     "xenbus", "isa", "nvme" };

	if (c->type == DOM_CONTROLLER_PCI && c->index.v == 0)
		return xstr_set(&c->dev.alias, same(c->model, "pcie-root") ? "pcie.0" : "pci.0");
	if (c->type == DOM_CONTROLLER_USB && c->index.v == 0)
		return xstr_set(&c->dev.alias, "usb");
	return xstr_printf(&c->dev.alias, "%s%llu", names[c->type], (unsigned long long)c->index.v);
}

static int name_disk(struct domdef_disk *k)
{
	static const char *const names[] = { "", "virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "ps2", "xen" };
	const struct domdef_address *a = &k->dev.address;

	if (a->type == DOM_ADDRESS_DRIVE)
		return xstr_printf(&k->dev.alias, "%s%llu-%llu-%llu", names[k->bus],
				   (unsigned long long)a->controller.v, (unsigned long long)a->bus.v,
				   (unsigned long long)a->unit.v);
	return xstr_printf(&k->dev.alias, "%s-disk%d", names[k->bus], domdef_target_index(k->target));
}

static int name_device(void *opaque, const struct domdef_kind *k, struct domdev *dev)
{
	struct naming *s = opaque;

	if (s->kind != k)
		*s = (struct naming){ .d = s->d, .kind = k, .next = beyond_aliases(s->d, k) };
	if (dev->alias)
		return 0;
	if (!strcmp(k->name, "controller"))
		return name_controller((struct domdef_controller *)dev);
	if (!strcmp(k->name, "disk"))
		return name_disk((struct domdef_disk *)dev);
	return k->alias ? xstr_printf(&dev->alias, "%s%u", k->alias, s->next++) : 0;
}

int domdef_assign_aliases(struct domdef *d)
{
	struct naming s = { .d = d };
	int ret = domdef_each(d, name_device, &s);

	/* The mirror of a serial port has the port's name. */
	if (ret == 0 && d->serials.n && d->consoles.n && same(d->consoles.v[0]->target_type, "serial"))
		ret = xstr_set(&d->consoles.v[0]->dev.alias, d->serials.v[0]->dev.alias);
	return ret;
}

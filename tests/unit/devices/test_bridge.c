/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI bridges and root ports, register by register: bus numbers, lines through bridges, the hot-plug slot. */
#include "rig.h"

#include "base/bytes.h"
#include "devices/pci/pci_bridge.h"
#include "devices/pci/pci_host.h"
#include "devices/pci/pci_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

enum { PORT_SLOT = 0x1c, CAP_EXPRESS = 0x10, CAP_MSIX = 0x11 };
enum { LINK = 0x12, CONTROL = 0x18, STATUS = 0x1a };

struct fix {
	struct rig r;
	struct wire line[PCI_LINES];
	unsigned messages;
	uint32_t data;
	struct pci_bus *bus, *bridge[2];
	struct pci_port *port[2];
	struct pci_dev dev, deep;
	unsigned ejected, refused;
};

static struct fix f;

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	f.messages++;
	f.data = data;
}

static void ejected(void *opaque, struct pci_port *p)
{
	f.ejected++;
}

static void refused(void *opaque, struct pci_port *p)
{
	f.refused++;
}

static uint32_t address(unsigned bus, unsigned slot, unsigned fn, unsigned off)
{
	return 0x80000000 | bus << 16 | slot << 11 | fn << 8 | (off & 0xfc);
}

static uint32_t get(unsigned bus, unsigned slot, unsigned fn, unsigned off, unsigned width)
{
	rig_out(&f.r, 0xcf8, 4, address(bus, slot, fn, off));
	return (uint32_t)rig_in(&f.r, (uint16_t)(0xcfc + off % 4), width);
}

static void put(unsigned bus, unsigned slot, unsigned fn, unsigned off, unsigned width, uint32_t value)
{
	rig_out(&f.r, 0xcf8, 4, address(bus, slot, fn, off));
	rig_out(&f.r, (uint16_t)(0xcfc + off % 4), width, value);
}

static unsigned cap(unsigned fn, uint8_t id)
{
	unsigned at = get(0, PORT_SLOT, fn, PCI_CAP_LIST, 1);

	for (unsigned n = 0; at && n < 8 && get(0, PORT_SLOT, fn, at, 1) != id; n++)
		at = get(0, PORT_SLOT, fn, at + 1, 1);
	return at;
}

static void plug(struct pci_dev *d, struct pci_bus *bus, uint8_t slot)
{
	struct pci_ident id = { .vendor = 0x1234, .device = 0x5678, .int_pin = 1 };

	assert_int_equal(pci_dev_attach(d, bus, slot, 0, "test", &id, NULL), 0);
}

static void numbers(void)
{
	put(0, PORT_SLOT, 0, BRIDGE_PRIMARY, 4, 0x00010100);
	put(0, PORT_SLOT, 1, BRIDGE_PRIMARY, 4, 0x00040200);
	put(2, 0, 0, BRIDGE_PRIMARY, 4, 0x00040302);
	put(3, 1, 0, BRIDGE_PRIMARY, 4, 0x00040403);
}

static int up(void **state)
{
	struct pci_host_config hc = { .msi = { .send = message }, .fixed_slots = 25 };

	f = (struct fix){ 0 };
	rig_up(&f.r, 0);
	for (unsigned n = 0; n < PCI_LINES; n++)
		hc.intx[n] = rig_wire(&f.line[n]);
	assert_int_equal(pci_host_create(f.r.vm, &hc, &f.bus, NULL), 0);
	for (unsigned n = 0; n < 2; n++) {
		struct pci_port_config pc = { .bus = f.bus, .slot = PORT_SLOT, .function = (uint8_t)n,
					      .number = (uint8_t)(n + 1) };

		assert_int_equal(pci_port_create(f.r.vm, &pc, &f.port[n], NULL), 0);
	}
	struct pci_bridge_config bc = { .bus = pci_port_bus(f.port[1]), .express = true };
	assert_int_equal(pci_bridge_create(f.r.vm, &bc, &f.bridge[0], NULL), 0);
	bc = (struct pci_bridge_config){ .bus = f.bridge[0], .slot = 1 };
	assert_int_equal(pci_bridge_create(f.r.vm, &bc, &f.bridge[1], NULL), 0);
	plug(&f.deep, f.bridge[1], 3);
	pci_port_on_eject(f.port[0], ejected, NULL);
	pci_port_on_refusal(f.port[0], refused);
	rig_reset(&f.r, "port1");
	rig_reset(&f.r, "port2");
	numbers();
	return 0;
}

static int down(void **state)
{
	pci_dev_detach(&f.dev);
	pci_dev_detach(&f.deep);
	rig_down(&f.r);
	return 0;
}

static void a_tree_is_found_by_bus_numbers(void **state)
{
	assert_int_equal(get(0, PORT_SLOT, 0, PCI_HEADER_TYPE, 1), 0x81);
	assert_int_equal(get(2, 0, 0, 0, 4), 0x000e1b36);
	assert_int_equal(get(3, 1, 0, 0, 4), 0x00011b36);
	assert_int_equal(get(4, 3, 0, 0, 4), 0x56781234);
	assert_int_equal(get(1, 0, 0, 0, 4), 0xffffffff);
	put(3, 1, 0, BRIDGE_SECONDARY, 1, 0);
	assert_int_equal(get(4, 3, 0, 0, 4), 0xffffffff);
	put(2, 0, 0, BRIDGE_MEMORY, 4, 0xfe1ffe0f);
	assert_int_equal(get(2, 0, 0, BRIDGE_MEMORY, 4), 0xfe10fe00);
}

static void a_line_turns_at_each_bridge(void **state)
{
	/* pin A of slot 3, behind slot 1, behind slot 0, behind the port at slot 1c, which does not turn */
	pci_intx(&f.deep, true);
	assert_true(f.line[(3 + 1) % 4].level);
	pci_intx(&f.deep, false);
	assert_false(f.line[0].level);
}

static void a_reset_of_the_bus_behind_resets_the_functions(void **state)
{
	put(4, 3, 0, PCI_COMMAND, 2, 7);
	assert_int_equal(get(4, 3, 0, PCI_COMMAND, 2), 7);
	put(3, 1, 0, BRIDGE_CONTROL, 2, 0x40);
	assert_int_equal(get(4, 3, 0, PCI_COMMAND, 2), 0);
}

static void slots_know_what_is_in_them(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS);

	assert_int_equal(get(0, PORT_SLOT, 0, at + 2, 2), 0x142);
	assert_int_equal(get(0, PORT_SLOT, 0, at + 0x14, 4) >> 19, 1);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0);
	assert_true(get(0, PORT_SLOT, 0, at + CONTROL, 2) & 0x400); /* empty: no power */
	assert_false(pci_port_powered(f.port[0]));
	at = cap(1, CAP_EXPRESS);
	assert_int_equal(get(0, PORT_SLOT, 1, at + STATUS, 2), 0x40);
	assert_true(get(0, PORT_SLOT, 1, at + LINK, 2) & 0x2000);
	assert_int_equal(pci_port_power_led(f.port[1]), PCI_INDICATOR_ON);
}

static void plugging_and_unplugging(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS);

	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x17e9 & ~0x40); /* all events, power off */
	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x49); /* present, changed, and the button */
	assert_true(f.line[0].level);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0x9);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x40);
	assert_false(f.line[0].level);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9); /* power on, its light too */
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x140);
	assert_true(get(0, PORT_SLOT, 0, at + LINK, 2) & 0x2000);
	assert_int_equal(get(1, 0, 0, 0, 4), 0x56781234);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	assert_int_equal(pci_port_push(f.port[0], NULL), 0);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x41);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x17e9);
	assert_int_equal(f.ejected, 1);
	pci_dev_detach(&f.dev);
	pci_port_changed(f.port[0]);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2) & 0x48, 8);
	assert_int_equal(pci_port_push(f.port[0], NULL), -ENOENT);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x17e9);
	assert_int_equal(f.ejected, 1); /* nobody asked */
}

static void a_guest_may_take_its_time_or_refuse(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS);

	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9); /* on */
	put(1, 0, 0, PCI_COMMAND, 2, 7);
	assert_int_equal(pci_port_push(f.port[0], NULL), 0);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x12e9); /* its light blinks */
	assert_int_equal(f.refused, 0);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9);
	assert_int_equal(f.refused, 1);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x12e9);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9);
	assert_int_equal(f.refused, 1); /* nobody asked again */
	assert_int_equal(pci_port_push(f.port[0], NULL), 0);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x12e9);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x16e9); /* no power: the function forgets */
	assert_int_equal(get(1, 0, 0, PCI_COMMAND, 2), 0);
	assert_int_equal(f.ejected, 0);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x17e9); /* and no light */
	assert_int_equal(f.ejected, 1);
	assert_int_equal(f.refused, 1);
}

static void the_button_waits_for_a_guest_that_is_busy(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS);

	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	assert_int_equal(pci_port_push(f.port[0], NULL), 0); /* not even noticed yet */
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x40);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x12e9);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x40);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x41);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x17e9);
	assert_int_equal(f.ejected, 1);
	assert_int_equal(f.refused, 0);
}

static void a_function_that_is_pulled_takes_the_link_down(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS);

	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x11e9);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	pci_dev_detach(&f.dev);
	pci_port_changed(f.port[0]);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x108);
	assert_false(get(0, PORT_SLOT, 0, at + LINK, 2) & 0x2000);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	plug(&f.dev, pci_port_bus(f.port[0]), 0); /* the power is still on: no button */
	pci_port_changed(f.port[0]);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x148);
	pci_dev_detach(&f.dev);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x16e9); /* the guest is still busy with that */
	pci_port_changed(f.port[0]);
	put(0, PORT_SLOT, 0, at + STATUS, 2, 0xffff);
	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	assert_int_equal(get(0, PORT_SLOT, 0, at + STATUS, 2), 0x48);
}

static void events_come_as_messages(void **state)
{
	unsigned at = cap(0, CAP_EXPRESS), msix = cap(0, CAP_MSIX);

	put(0, PORT_SLOT, 0, PCI_BAR0, 4, 0xf0000000);
	put(0, PORT_SLOT, 0, PCI_COMMAND, 2, 6);
	rig_store(&f.r, 0xf0000000, 4, 0xfee00000);
	rig_store(&f.r, 0xf0000008, 4, 0x55);
	rig_store(&f.r, 0xf000000c, 4, 0);
	put(0, PORT_SLOT, 0, msix + 2, 2, 0x8000);
	put(0, PORT_SLOT, 0, at + CONTROL, 2, 0x28 | 0x400);
	plug(&f.dev, pci_port_bus(f.port[0]), 0);
	pci_port_changed(f.port[0]);
	assert_int_equal(f.messages, 1);
	assert_int_equal(f.data, 0x55);
	assert_false(f.line[0].level);
	pci_port_changed(f.port[0]);
	assert_int_equal(f.messages, 1);
}

static void states_survive(void **state)
{
	rig_state_round_trip(&f.r, "port1");
	rig_state_round_trip(&f.r, "port2");
	rig_state_round_trip(&f.r, "pci-bridge0");
	assert_int_equal(get(4, 3, 0, 0, 4), 0x56781234);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tree_is_found_by_bus_numbers), TEST(a_line_turns_at_each_bridge),
		TEST(a_reset_of_the_bus_behind_resets_the_functions), TEST(slots_know_what_is_in_them),
		TEST(plugging_and_unplugging), TEST(a_guest_may_take_its_time_or_refuse),
		TEST(the_button_waits_for_a_guest_that_is_busy),
		TEST(a_function_that_is_pulled_takes_the_link_down),
		TEST(events_come_as_messages),
		TEST(states_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

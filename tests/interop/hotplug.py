#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices put into running machines and taken out, with Debian's virsh and python3-libvirt.

    tests/interop/hotplug.py            everything
    tests/interop/hotplug.py NAME...    those whose name contains one of these
"""

import subprocess
import sys
import xml.etree.ElementTree as ET

from client import libvirt
from live import DISK, MIB, UUID, Guest, refused, sparse
from panald import Panald, domain_xml, enter_namespace, expect, expect_equal, run_tests, wait_for

NAMESPACE = enter_namespace(needed=False)
CARD = ("<interface type='user'><mac address='52:54:00:00:00:99'/><model type='virtio'/></interface>")
EVENTS = {libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: "added", libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: "removed",
          libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED: "failed"}


class Plug(Guest):
    def __init__(self, p, **more):
        super().__init__(p, **more)
        self.told = []
        self.watch()

    def watch(self):
        for number, name in EVENTS.items():
            self.connection.domainEventRegisterAny(self.domain, number, self.event, name)

    def event(self, _connection, _domain, alias, name):
        self.told.append((name, alias))

    def happened(self, name, alias):
        wait_for(f"{name} {alias} (told: {self.told})", lambda: (name, alias) in self.told)
        self.told.remove((name, alias))

    def live(self, path):
        return ET.fromstring(self.domain.XMLDesc()).findall(f"./devices/{path}")

    def config(self, path):
        return ET.fromstring(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).findall(f"./devices/{path}")

    def eject(self, port):
        """The administrator does not wait for the five seconds that Linux's driver gives a second press."""
        self.run(f"sleep 0.2; echo 0 > /sys/bus/pci/slots/{port}/power")


def disks():
    with Panald() as p:
        g = Plug(p, devices=DISK.format(sparse(p, "a.raw", 16 * MIB)))
        second = sparse(p, "b.raw", 24 * MIB)
        said = p.virsh("attach-disk", "live", second, "vdb", "--targetbus", "virtio", "--live")
        expect("attached successfully" in said, said)
        g.happened("added", "virtio-disk1")
        (disk,) = [d for d in g.live("disk") if d.find("target").get("dev") == "vdb"]
        expect_equal(disk.find("alias").get("name"), "virtio-disk1", "alias")
        expect_equal((disk.find("address").get("type"), disk.find("address").get("bus")), ("pci", "0x03"), "its place")
        expect_equal(len(g.config("disk")), 1, "the next start's disks")
        g.run("for i in 1 2 3 4 5 6 7 8 9; do test -b /dev/vdb && break; sleep 0.3; done; cat /sys/block/vdb/size", "49152")
        g.run("echo here-it-is | dd of=/dev/vdb conv=fsync,notrunc 2>/dev/null")
        with open(second, "rb") as f:
            expect_equal(f.read(10), b"here-it-is", "in the image")
        expect("vdb" in p.virsh("domblklist", "live"), "domblklist")
        expect(g.domain.blockStatsFlags("vdb")["wr_bytes"] > 0, "its numbers")
        # A daemon that comes later knows it all.
        p.restart()
        g = again(p, g)
        said = p.virsh("detach-disk", "live", "vdb", "--live")
        expect("detached successfully" in said, said)
        expect("already in the process of unplug" in p.virsh("detach-disk", "live", "vdb", "--live", status=1), "twice")
        g.eject(3)
        g.happened("removed", "virtio-disk1")
        expect_equal([d.find("target").get("dev") for d in g.live("disk")], ["vda"], "disks")
        g.run("ls /sys/block | tr '\\n' ' '", r"vda\s")
        expect("vdb" not in p.virsh("domblklist", "live"), "domblklist")
        # Both halves, and what is not there.
        p.virsh("attach-disk", "live", second, "vdb", "--targetbus", "virtio", "--persistent")
        g.happened("added", "virtio-disk1")
        expect_equal((len(g.live("disk")), len(g.config("disk"))), (2, 2), "both halves")
        expect("already exists" in p.virsh("attach-disk", "live", second, "vdb", "--live", status=1), "the same target")
        expect("vdz" in p.virsh("detach-disk", "live", "vdz", status=1), "no such disk")
        p.virsh("detach-device-alias", "live", "virtio-disk1", "--live")
        g.eject(3)
        g.happened("removed", "virtio-disk1")
        expect_equal((len(g.live("disk")), len(g.config("disk"))), (1, 2), "the other half stays")
        refused("no device found with alias", g.domain.detachDeviceAlias, "nothing", 0)
        refused("No such file", g.domain.attachDevice, DISK.format("/nowhere").replace("vda", "vdc"))
        refused("cannot be added to a running machine", g.domain.attachDevice,
                DISK.format(second).replace("vda", "sda").replace("virtio", "sata"))
        expect_equal(len(g.live("disk")), 1, "what was refused is not there")
        expect_equal(g.told, [], "events")


def defined():
    """What was there from the start goes like what came; a machine of old, with its disk on bus 0, keeps its places."""
    with Panald() as p:
        image = sparse(p, "a.raw", 16 * MIB)
        g = Plug(p, devices=DISK.format(image) + CARD)
        (disk,), (card,) = g.config("disk"), g.config("interface")
        expect_equal([d.find("address").get("bus") for d in (disk, card)], ["0x01", "0x02"], "places")
        ports = [c.find("address").attrib for c in g.config("controller[@model='pcie-root-port']")]
        expect_equal([(a["slot"], a["function"]) for a in ports], [("0x1c", "0x0"), ("0x1c", "0x1"), ("0x1c", "0x2")], "ports")
        expect_equal(len(g.live("controller[@model='pcie-root-port']")), 8, "those of the running machine")
        before = g.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        g.connection.defineXML(before)
        expect_equal(g.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), before, "after a loop")
        expect("detached successfully" in p.virsh("detach-disk", "live", "vda", "--persistent"), "detach-disk")
        g.eject(1)
        g.happened("removed", "virtio-disk0")
        expect("detached successfully" in p.virsh("detach-interface", "live", "user", "--persistent"), "detach-interface")
        g.eject(2)
        g.happened("removed", "net0")
        expect_equal((g.live("disk"), g.live("interface"), g.config("disk"), g.config("interface")), ([], [], [], []), "all gone")
        g.run("ls /sys/block /sys/class/net | tr '\\n' ' '", r"net: lo\s")
        g.domain.destroy()
        old = DISK.format(image).replace("</disk>", "<address type='pci' bus='0' slot='3'/></disk>")
        g.connection.defineXML(domain_xml("live", UUID, devices=old)).create()
        expect_equal([d.find("address").get("slot") for d in g.config("disk")], ["0x03"], "the old place")
        refused("cannot be unplugged", g.domain.detachDevice, DISK.format("/x"))


def again(p, old):
    """The guest that goes on, seen through a new daemon."""
    from panald import Console
    g = Plug.__new__(Plug)
    g.p, g.runs, g.told = p, old.runs, []
    g.connection = libvirt.open(p.uri())
    g.domain = g.connection.lookupByName("live")
    g.console = Console(libvirt, g.connection, g.domain, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
    g.console.send("\n")
    g.console.expect("[#$] ")
    g.watch()
    return g


def cards():
    with Panald() as p:
        g = Plug(p)
        for n in range(2):
            g.domain.attachDeviceFlags(CARD, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            g.happened("added", "net0")
            (card,) = g.live("interface")
            expect_equal((card.find("alias").get("name"), card.find("address").get("bus")), ("net0", "0x02"), "the card")
            g.run("for i in 1 2 3 4 5 6 7 8 9; do test -e /sys/class/net/eth0 && break; sleep 0.3; done; ip link set eth0 up; "
                  "ip addr add 10.0.2.15/24 dev eth0; ping -c 1 -w 20 10.0.2.2", "1 packets received")
            expect(g.domain.interfaceStats("52:54:00:00:00:99")[5] > 0, "its numbers")
            p.virsh("detach-interface", "live", "user", "--mac", "52:54:00:00:00:99", "--live")
            g.eject(2)
            g.happened("removed", "net0")
            expect_equal(g.live("interface"), [], "cards")
        wait_for("the helper's end", lambda: "panal-net-user" not in subprocess.run(
            ["ps", "--ppid", str(p.process.pid), "-o", "comm="], capture_output=True, text=True, check=False).stdout)
        expect_equal(g.config("interface"), [], "of the next start")


def link(name):
    return subprocess.run(["ip", "-o", "link", "show", "dev", name], capture_output=True, text=True, check=False).stdout


def taps():
    """A card on a network of the daemon: its tap comes and goes with it."""
    with Panald() as p:
        g = Plug(p)
        with open(p.path("net.xml"), "w", encoding="utf-8") as f:
            f.write("<network><name>n</name><bridge name='hpbr0' stp='off' delay='0'/><ip address='192.168.77.1' netmask='255.255.255.0'/></network>")
        p.virsh("net-create", p.path("net.xml"))
        p.virsh("attach-interface", "live", "network", "n", "--model", "virtio", "--live")
        g.happened("added", "net0")
        tap = g.live("interface/target")[0].get("dev")
        expect("master hpbr0" in link(tap), f"{tap} is not on the bridge: {link(tap)}")
        g.run("for i in 1 2 3 4 5 6 7 8 9; do test -e /sys/class/net/eth0 && break; sleep 0.3; done; ip link set eth0 up; "
              "ip addr add 192.168.77.9/24 dev eth0; ping -c 1 -w 20 192.168.77.1", "1 packets received")
        p.virsh("detach-interface", "live", "network", "--live")
        g.eject(2)
        g.happened("removed", "net0")
        wait_for("the tap's end", lambda: not link(tap))


def many():
    """All slots are taken, and each is free again."""
    with Panald() as p:
        g = Plug(p)
        rng = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
        for n in range(7):
            g.domain.attachDevice(rng)
            g.happened("added", f"rng{n}")
        refused("No more available PCI slots", g.domain.attachDevice, rng)
        expect_equal(sorted(r.find("address").get("bus") for r in g.live("rng")), [f"0x0{n}" for n in range(2, 9)], "places")
        g.run("sleep 2; ls /sys/bus/virtio/devices | wc -l", r"\b8\b")  # and a balloon
        for n in (3, 6):
            g.domain.detachDeviceAlias(f"rng{n}", 0)
            g.eject(n + 2)
            g.happened("removed", f"rng{n}")
        g.domain.attachDevice(rng)
        expect_equal(len(g.live("rng")), 6, "sources of random numbers")
        refused("Bus 0 does not support hotplugging", g.domain.attachDevice,
                rng.replace("</rng>", "<address type='pci' bus='0' slot='9'/></rng>"))
        refused("cannot be added to a running machine", g.domain.attachDevice, "<watchdog model='i6300esb'/>")
        refused("is not running", libvirt.open(p.uri()).defineXML(
            "<domain type='kvm'><name>off</name><memory>65536</memory><os><type>hvm</type></os></domain>").attachDevice, rng)


def usb():
    with Panald() as p:
        g = Plug(p, devices="<controller type='usb' model='qemu-xhci'/>")
        image = sparse(p, "u.raw", 16 * MIB)
        tablet = "<input type='tablet' bus='usb'/>"
        g.domain.attachDevice(tablet)
        g.happened("added", "input0")
        disk = DISK.format(image).replace("vda", "sda").replace("virtio", "usb")
        g.domain.attachDevice(disk)
        g.happened("added", "usb-disk0")
        expect_equal((len(g.live("input")), len(g.live("disk"))), (1, 1), "devices")
        for xml, alias in ((tablet, "input0"), (disk, "usb-disk0")):
            g.domain.detachDevice(xml)
            g.happened("removed", alias)
        expect_equal((g.live("disk"), len(g.live("input"))), ([], 0), "devices")


def from_start():
    """What was there when the machine started goes, too; on machine pc, whose devices are on bus 0, it is said that it cannot."""
    rng = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
    tablet, balloon = "<input type='tablet' bus='usb'><alias name='ua-pen'/></input>", "<memballoon model='virtio'/>"
    with Panald() as p:
        g = Plug(p, devices=rng + tablet)
        for xml, alias in ((rng, "rng0"), (tablet, "ua-pen"), (balloon, "balloon0")):
            g.domain.detachDevice(xml)
            g.happened("removed", alias)
            expect_equal(g.live(xml[1:].split()[0] + "[@model='virtio']"), [], "left")
        g.domain.attachDevice(rng)
        g.happened("added", "rng0")
        g.domain.destroy()
        c = libvirt.open(p.uri())
        d = c.defineXML("<domain type='kvm'><name>flat</name><memory unit='MiB'>64</memory><os><type machine='pc'>hvm</type></os>"
                        f"<devices>{rng}</devices></domain>")
        d.create()
        refused("in no slot of a root port", d.detachDevice, rng)
        refused("in no slot of a root port", d.detachDevice, balloon)
        d.destroy()


TESTS = [("from the start", from_start), ("disks", disks), ("defined", defined), ("cards", cards), ("many", many), ("usb", usb)] + ([("taps", taps)] if NAMESPACE else [])

if __name__ == "__main__":
    sys.exit(run_tests([(n, f) for n, f in TESTS if not sys.argv[1:] or any(w in n for w in sys.argv[1:])]))

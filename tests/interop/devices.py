#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest finds of its document's devices: places and serial numbers of drives, the clock, the watchdog, the cable, and
what it does at its end; and what is said of wishes that cannot be granted.

    tests/interop/devices.py            everything
    tests/interop/devices.py NAME...    those whose name contains one of these
"""

import os
import re
import sys
import tempfile
import time

from client import libvirt
from live import AGENT, CHANNEL
from panald import Console, Loop, Panald, domain_xml, expect, expect_equal, prepared, run_tests, wait_for

import pc  # of tests/guest

LOAD = "for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 1"


class Guest:
    """A machine of Debian's usual kernel with modules, and its console."""

    def __init__(self, p, directory, *modules, xml=lambda x: x, **more):
        Loop.start(libvirt)
        initrd = os.path.join(directory, "initrd")
        with open(initrd, "wb") as out, open(prepared("quick-amd64.img"), "rb") as f:
            whole = f.read()
            out.write(whole + bytes(-len(whole) % 512) + (pc.modules(directory, "amd64", *modules) if modules else b""))
        document = domain_xml("guest", flavour="amd64", memory=384, **more).replace(prepared("quick-amd64.img"), initrd)
        self.connection = libvirt.open(p.uri())
        self.domain = self.connection.defineXML(xml(document))
        self.domain.create()
        self.console = Console(libvirt, self.connection, self.domain)
        self.console.expect("[#$] ")
        self.runs = 0
        if modules:
            self.run(LOAD)

    def run(self, command, wanted=None, timeout=60):
        self.runs += 1
        self.console.send(f"{command}; echo done-$((20+{self.runs}))-\n")
        start = self.console.at
        self.console.expect(f"done-{20 + self.runs}-", timeout)
        said = self.console.text[start:self.console.at]
        expect(not wanted or re.search(wanted, said), f"no {wanted!r} after {command!r}: {said!r}")
        return said


def drive(p, target, bus, place, serial=""):
    with open(p.path(target), "wb") as f:
        f.truncate(1 << 20)
    return (f"<disk type='file'><driver name='qemu' type='raw'/><source file='{p.path(target)}'/><target dev='{target}' bus='{bus}'/>"
            f"{f'<serial>{serial}</serial>' if serial else ''}{place and f'<address type={chr(39)}drive{chr(39)} {place}/>'}</disk>")


def drives():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        disks = (drive(p, "sda", "sata", "controller='0' bus='0' target='0' unit='4'", "SATA-4") +
                 drive(p, "hdd", "ide", "controller='0' bus='1' target='0' unit='1'", "IDE-3") +
                 drive(p, "sdb", "scsi", "controller='0' bus='0' target='7' unit='0'", "SCSI-7") +
                 drive(p, "vda", "virtio", "", "VIRTIO-1"))
        g = Guest(p, d, "ahci", "ata_piix", "virtio_scsi", "sd_mod", "virtio_blk", devices=disks)
        g.run("sleep 2; cat /sys/block/vda/serial", "VIRTIO-1")
        said = g.run("for s in /sys/block/sd?; do readlink -f $s; tr -d '\\000' < $s/device/vpd_pg80; echo; done")
        found = {m[2]: m[1] for m in re.finditer(r"(/sys/devices/pci\S+).*?(SATA-4|IDE-3|SCSI-7)", said, re.S)}
        expect_equal(sorted(found), ["IDE-3", "SATA-4", "SCSI-7"], said)
        expect("/ata5/" in found["SATA-4"] or "/ata7/" in found["SATA-4"], f"the fifth port: {found}")  # IDE's two may come first
        expect(re.search(r"target\d+:0:1/", found["IDE-3"]), f"the second drive of its channel: {found}")
        expect(re.search(r"target\d+:0:7/", found["SCSI-7"]), f"target 7: {found}")


def clock():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, more="<clock offset='variable' adjustment='86400'/>")
        said = g.run("echo clock-$(cat /sys/class/rtc/rtc0/since_epoch)-", r"clock-\d+-")
        ahead = int(re.search(r"clock-(\d+)-", said)[1]) - time.time()
        expect(86400 - 60 < ahead < 86400 + 60, f"the clock is {ahead} s ahead of UTC, 86400 is asked")


def cable():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        card = "<interface type='user'><mac address='52:54:00:00:00:{}'/><model type='{}'/><link state='down'/></interface>"
        g = Guest(p, d, "virtio_net", "e1000", devices=card.format("01", "virtio") + card.format("02", "e1000"))
        look = "for c in /sys/class/net/*; do [ -e $c/device ] && ip link set dev ${c##*/} up; done; sleep 3; echo $(cat /sys/class/net/*/carrier)."
        g.run(look, r"\n(0 0 1|0 1 0|1 0 0)\.")  # the loopback is up
        p.virsh("domif-setlink", "guest", "52:54:00:00:00:01", "up")
        p.virsh("domif-setlink", "guest", "52:54:00:00:00:02", "up")
        g.run(look, r"\n1 1 1\.")


def watchdog():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, "i6300esb", devices="<watchdog model='i6300esb' action='pause'/>")
        heard = []
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG, lambda *a: heard.append(a[2]), None)
        g.run("rmmod i6300esb; insmod /m/*i6300esb.ko heartbeat=2; ls /dev/watchdog", "/dev/watchdog")
        g.console.send("echo x > /dev/watchdog\n")
        wait_for("watchdog event", lambda: heard == [libvirt.VIR_DOMAIN_EVENT_WATCHDOG_PAUSE], 30)
        expect_equal(g.domain.state(), [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG], "state")


def panic(action):
    p = Panald()
    with p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, "pvpanic_mmio", more=f"<on_crash>{action}</on_crash>", devices="<panic model='isa'/>",
                  xml=lambda x: x.replace("panic=-1", "panic=0"))
        heard = []
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *a: heard.append(a[2]), None)
        g.console.send("echo c > /proc/sysrq-trigger\n")
        if action == "preserve":
            wait_for("crashed machine", lambda: g.domain.state() == [libvirt.VIR_DOMAIN_CRASHED, 1], 30)
            p.restart()
            expect("crashed" in p.virsh("domstate", "guest", "--reason"), "after a restart of the daemon")
            p.virsh("destroy", "guest")
        elif action == "restart":
            g.console.expect("sysrq")
            g.console.expect("[#$] ", 90)
        else:
            wait_for("end", lambda: not g.domain.isActive(), 30)
            expect("crashed" in p.virsh("domstate", "guest", "--reason"), "why it is off")


def panics():
    for action in ("preserve", "restart", "destroy"):
        panic(action)


def nmi():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d)
        p.virsh("inject-nmi", "guest")
        g.console.expect("NMI received", 20)
        p.virsh("destroy", "guest")
        expect("not running" in p.virsh("inject-nmi", "guest", status=1), "without a machine")


def sleep():
    """The guest goes to sleep; it is seen, also by the next daemon, and woken."""
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, devices=drive(p, "sda", "sata", "") + CHANNEL)  # a PC
        heard = []
        for event in (libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND, libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP):
            g.connection.domainEventRegisterAny(g.domain, event, lambda *a: heard.append(a[-1]), event)
        expect("not in a sleep state" in p.virsh("dompmwakeup", "guest", status=1), "awake")
        g.console.send("echo mem > /sys/power/state; echo aw''ake\n")
        wait_for("sleep", lambda: g.domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED, 30)
        p.virsh("dompmwakeup", "guest")
        g.console.expect("awake", 30)
        wait_for("waking", lambda: g.domain.state() == [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_WAKEUP], 10)
        expect_equal(heard, [libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND, libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP], "events")
        g.run("cat > /tmp/agent <<'END'\n" + AGENT + "END\nsh /tmp/agent & sleep 1; echo there", "there")
        expect("Duration not supported" in p.virsh("dompmsuspend", "guest", "mem", "--duration", "5", status=1), "for a time")
        p.virsh("dompmsuspend", "guest", "mem")
        expect_equal(g.domain.state()[0], libvirt.VIR_DOMAIN_PMSUSPENDED, "after dompmsuspend")
        p.restart()
        expect("pmsuspended" in p.virsh("domstate", "guest"), "after a restart of the daemon")
        p.virsh("dompmwakeup", "guest")
        expect("running" in p.virsh("domstate", "guest"), "awake again")


def hibernation():
    """The guest switches off as one whose memory is on its disk; not where its document has no such state."""
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, devices=drive(p, "sda", "sata", ""))  # a PC
        heard = []
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, lambda *a: heard.append("disk"), None)
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *a: heard.append(a[2:4]), None)
        enter = "printf '\\050' | dd of=/dev/port bs=1 seek=1541"  # SLP_TYP of S4 and SLP_EN: what a kernel does last
        g.console.send(enter + "\n")
        wait_for("power-off", lambda: not g.domain.isActive(), 30)
        expect_equal(g.domain.state(), [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN], "the guest did it")
        wait_for("events", lambda: len(heard) == 4, 10)
        expect_equal(heard, ["disk", (libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED, libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED_DISK),
                             (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST),
                             (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN)], "events")
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        g = Guest(p, d, devices=drive(p, "sda", "sata", ""), more="<pm><suspend-to-disk enabled='no'/></pm>")
        g.run(enter + "; sleep 1; echo still there", "still there")
        g.run("dmesg | grep 'ACPI: PM: (supports'", r"supports S0 S3 S5\)")


def messages():
    with Panald() as p:
        Loop.start(libvirt)
        c = libvirt.open(p.uri())
        disk = drive(p, "vda", "virtio", "").replace("type='raw'", "type='raw' copy_on_read='on'")
        c.defineXML(domain_xml("quiet"))
        expect_equal(c.lookupByName("quiet").messages(), ["machine q35: a kernel is booted without firmware and chipset"], "a small machine")
        channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
        d = c.defineXML(domain_xml("asks", devices=disk + channel))
        expect(not any("channel" in m for m in d.messages()), d.messages())
        expect(any("copy_on_read" in m for m in d.messages()), d.messages())
        d = c.defineXML(domain_xml("wants", devices="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"))
        expect(any("tpm" in m for m in d.messages()), d.messages())
        expect("tpm" in p.virsh("dominfo", "wants"), "virsh shows them")
        expect("qemu64" in p.virsh("cpu-models", "x86_64") or "Skylake" in p.virsh("cpu-models", "x86_64"), "models")
        changed = []
        c.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, lambda *a: changed.append(a[2:4]), None)
        p.virsh("desc", "asks", "--config", "--title", "A title")
        p.virsh("metadata", "asks", "http://example.org/x", "--config", "--key", "x", "--set", "<a/>")
        wait_for("metadata events", lambda: changed == [(libvirt.VIR_DOMAIN_METADATA_TITLE, None),
                                                        (libvirt.VIR_DOMAIN_METADATA_ELEMENT, "http://example.org/x")], 10)


def optional():
    """A CD that is not there and that need not be."""
    with Panald() as p:
        Loop.start(libvirt)
        xml = domain_xml("cd", kernel=False, devices="<disk type='file' device='cdrom'><source file='/nowhere/a.iso' startupPolicy='{}'/>"
                                                     "<target dev='sda' bus='sata'/></disk>")
        c = libvirt.open(p.uri())
        d = c.defineXML(xml.format("mandatory"))
        expect("/nowhere/a.iso" in p.virsh("start", "cd", status=1), "the missing file is named")
        d = c.defineXML(xml.format("optional").replace("<name>", f"<uuid>{d.UUIDString()}</uuid><name>"))
        told = []
        c.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE, lambda *a: told.append(a[2:6]), None)
        d.create()
        expect(d.isActive(), "it does not run")
        wait_for("the event", lambda: told == [("/nowhere/a.iso", None, "sata0-0-0", libvirt.VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START)], 10)
        expect("/nowhere" not in d.XMLDesc() and "/nowhere" in d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), d.XMLDesc())


TESTS = [(f.__name__.replace("_", " "), f) for f in (drives, clock, cable, watchdog, panics, nmi, sleep, hibernation, messages, optional)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))

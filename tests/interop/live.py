#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What administrators see of, and change at, machines that run, with Debian's virsh and python3-libvirt.

    tests/interop/live.py            everything
    tests/interop/live.py NAME...    those whose name contains one of these
"""

import os
import re
import subprocess
import sys
import tempfile

from client import libvirt
from panald import BUILD, Console, Loop, Panald, domain_xml, expect, expect_equal, run_tests, wait_for

import pc  # of tests/guest

UUID = "33333333-4444-4555-8666-777777777777"
MIB = 1 << 20
DISK = "<disk type='file'><driver name='qemu' type='raw'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>"
NIC = "<interface type='user'><mac address='52:54:00:00:00:77'/><model type='virtio'/></interface>"


class Guest:
    """A panald with one small machine that runs, and its console."""

    def __init__(self, p, **more):
        self.p = p
        Loop.start(libvirt)
        self.connection = libvirt.open(p.uri())
        self.domain = self.connection.defineXML(domain_xml("live", UUID, **more))
        self.domain.create()
        self.console = Console(libvirt, self.connection, self.domain)
        self.console.expect("[#$] ")
        self.runs = 0

    def run(self, command, wanted=None, timeout=60):
        """Runs it in the guest's shell, to its end; its words must have what is wanted."""
        self.runs += 1
        self.console.send(f"{command}; echo done-$((20+{self.runs}))-\n")
        start = self.console.at
        self.console.expect(f"done-{20 + self.runs}-", timeout)
        said = self.console.text[start:self.console.at]
        expect(not wanted or re.search(wanted, said), f"no {wanted!r} after {command!r}: {said!r}")
        return said


def sparse(p, name, size):
    with open(p.path(name), "wb") as f:
        f.truncate(size)
    return p.path(name)


def refused(what, call, *args):
    try:
        call(*args)
    except libvirt.libvirtError as error:
        expect(what in str(error), error)
        return
    raise AssertionError(f"{call} was not refused")


def counters():
    with Panald() as p:
        disk = sparse(p, "d.raw", 32 * MIB)
        g = Guest(p, devices=DISK.format(disk) + NIC)
        before = g.domain.blockStatsFlags("vda")
        g.run("dd if=/dev/vda of=/dev/null bs=65536 count=64 2>/dev/null")
        g.run("dd if=/dev/zero of=/dev/vda bs=65536 count=32 conv=fsync 2>/dev/null")
        after = g.domain.blockStatsFlags("vda")
        expect(after["rd_bytes"] - before["rd_bytes"] >= 4 * MIB, (before, after))
        expect_equal(after["wr_bytes"] - before["wr_bytes"], 2 * MIB, "bytes written")
        expect(after["flush_operations"] > before["flush_operations"] and after["wr_total_times"] > 0, after)
        expect_equal(g.domain.blockStats(disk)[3], after["wr_bytes"], "by its path")
        expect_equal(g.domain.blockStats("")[3], after["wr_bytes"], "of all disks")
        expect_equal(after["errs"], 0, "errors")
        refused("invalid path", g.domain.blockStats, "vdz")
        said = p.virsh("domblkstat", "live", "vda")
        expect(re.search(rf"vda wr_bytes {after['wr_bytes']}\b", said), said)
        g.run("ip link set dev $(ls /sys/class/net | grep -v lo | head -1) up 2>/dev/null; sleep 1")
        stats = g.connection.domainListGetStats([g.domain])[0][1]
        expect_equal((stats["block.count"], stats["block.0.name"], stats["block.0.capacity"]), (1, "vda", 32 * MIB), "disk")
        expect(stats["block.0.wr.bytes"] >= 2 * MIB and stats["block.0.fl.reqs"] >= 1, stats)
        expect_equal(stats["net.0.name"], "52:54:00:00:00:77", "card")
        expect_equal(stats["net.0.tx.pkts"], g.domain.interfaceStats("52:54:00:00:00:77")[5], "packets")
        p.restart()
        expect(f"wr_bytes {after['wr_bytes']}" in p.virsh("domblkstat", "live", "vda"), "after a restart")
        p.virsh("destroy", "live")
        expect("not running" in p.virsh("domblkstat", "live", "vda", status=1), "of a machine that is off")


def resizing():
    with Panald() as p:
        disk, image = sparse(p, "d.raw", 16 * MIB), p.path("q.qcow2")
        subprocess.run([os.path.join(BUILD, "panal"), "image", "create", "--format", "qcow2", image, "16M"], check=True,
                       capture_output=True)
        second = DISK.format(image).replace("raw", "qcow2").replace("vda", "vdb")
        g = Guest(p, devices=DISK.format(disk) + second)
        g.run("cat /sys/block/vd[ab]/size | tr '\\n' ' '", r"32768 32768")
        p.virsh("blockresize", "live", "vda", "24M")
        p.virsh("blockresize", "live", "vdb", "1G")
        g.run("cat /sys/block/vd[ab]/size | tr '\\n' ' '", r"49152 2097152")
        expect_equal(os.stat(disk).st_size, 24 * MIB, "the file")
        expect_equal(g.domain.blockInfo("vdb")[0], 1024 * MIB, "the image")
        g.run("echo far-away | dd of=/dev/vdb bs=512 seek=2000000 conv=fsync 2>/dev/null")
        g.run("dd if=/dev/vdb bs=512 skip=2000000 count=1 2>/dev/null | head -c 8", "far-away")
        refused("invalid path", g.domain.blockResize, "vdz", 1024)
        refused("is not possible", g.domain.blockResize, "vda", 0)


EJECT = """#include <fcntl.h>
#include <sys/ioctl.h>
int main(void) { return ioctl(open("/dev/sr0", O_RDONLY | O_NONBLOCK), 0x5309 /* CDROMEJECT */) != 0; }
"""


def ejector(directory):
    """An initial ramdisk with /ejector, which opens the tray."""
    subprocess.run(["cc", "-x", "c", "-static", "-o", "ejector", "-"], cwd=directory, input=EJECT, text=True, check=True)
    return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=directory, input=b"ejector\n",
                          stdout=subprocess.PIPE, check=True).stdout


def media():
    with Panald() as p, tempfile.TemporaryDirectory() as d:
        iso = pc.rescue(d, "amd64", pc.modules(d, "amd64", "ahci", "sr_mod") + ejector(d))
        for name in ("one", "two"):
            with open(p.path(name), "wb") as f:
                f.write(f"medium-{name}".encode().ljust(64 * 2048, b"."))
        drive = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
        boot = DISK.format(iso).replace("</disk>", "<readonly/></disk>")
        g = Guest(p, devices=boot + drive, kernel=False, memory=384)
        moved = []
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
                                            lambda *a: moved.append(a[3]), None)
        g.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 2; ls /dev/sr*", "/dev/sr0")
        look = "dd if=/dev/sr0 bs=2048 count=1 2>/dev/null | cut -c1-10"
        p.virsh("change-media", "live", "sda", p.path("one"), "--insert", "--live", "--config")
        g.run(look, "medium-one")
        p.virsh("change-media", "live", "sda", p.path("two"), "--update", "--live")
        g.run(look, "medium-two")
        expect(p.path("two") in p.virsh("domblklist", "live"), "live XML")
        expect(p.path("one") in p.virsh("domblklist", "live", "--inactive"), "the next start's XML")
        g.run("exec 3</dev/sr0")  # an open drive is a locked one
        expect("locked" in p.virsh("change-media", "live", "sda", "--eject", "--live", status=1), "the guest's lock")
        p.virsh("change-media", "live", "sda", "--eject", "--live", "--force")
        g.run("exec 3<&-; dd if=/dev/sr0 of=/dev/null count=1", "No medium")
        p.virsh("change-media", "live", "sda", p.path("one"), "--insert", "--live")
        del moved[:]
        g.run("/ejector && echo opened", "opened")
        wait_for("tray event", lambda: moved == [libvirt.VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN], 20)
        expect("tray='open'" in p.virsh("dumpxml", "live"), "the open tray")
        p.restart()
        expect("tray='open'" in p.virsh("dumpxml", "live"), "the open tray after a restart")
        p.virsh("change-media", "live", "sda", p.path("absent"), "--update", "--live", status=1)
        p.virsh("change-media", "live", "vda", p.path("one"), "--update", "--live", status=1)


def cable():
    with Panald() as p:
        g = Guest(p, devices=NIC)
        card = "c=/sys/class/net/$(ls /sys/class/net | grep -v lo | head -1); ip link set dev ${c##*/} up; sleep 1; "
        g.run(card + "echo carrier-$(cat $c/carrier)", "carrier-1")
        p.virsh("domif-setlink", "live", "52:54:00:00:00:77", "down")
        g.run("sleep 1; echo carrier-$(cat $c/carrier)", "carrier-0")
        expect("down" in p.virsh("domif-getlink", "live", "52:54:00:00:00:77"), "domif-getlink")
        p.virsh("domif-setlink", "live", "52:54:00:00:00:77", "up")
        g.run("sleep 1; echo carrier-$(cat $c/carrier)", "carrier-1")


AGENT = r"""#!/bin/sh
exec 3<>/dev/vport$(ls /sys/class/virtio-ports | sed -n 's/^vport//p' | head -1)
while read -r line <&3; do
	id=$(echo "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
	case $line in
	*guest-sync*) echo "{\"return\": $id}" >&3;;
	*get-host-name*) echo '{"return": {"host-name": "scripted"}}' >&3;;
	*'get-time"'*) echo '{"return": 1700000000123456789}' >&3;;
	*fsfreeze-freeze*) echo '{"return": 2}' >&3;;
	*fsfreeze-thaw*) echo '{"error": {"class": "GenericError", "desc": "nothing is frozen"}}' >&3;;
	*get-osinfo*) echo '{"return": {"id": "debian", "name": "Debian GNU/Linux"}}' >&3;;
	*get-interfaces*) echo '{"return": [{"name": "eth0", "hardware-address": "52:54:00:00:00:77", "ip-addresses": [{"ip-address-type": "ipv4", "ip-address": "10.0.2.15", "prefix": 24}]}]}' >&3;;
	*guest-get-vcpus*) echo '{"return": [{"logical-id": 0, "online": true, "can-offline": false}]}' >&3;;
	*set-user-password*) echo "$line" > /tmp/said; echo '{"return": {}}' >&3;;
	*guest-shutdown*) poweroff -f;;
	*guest-suspend-ram*) echo mem > /sys/power/state;;
	*guest-fstrim*) ;;
	*) echo '{"error": {"class": "CommandNotFound", "desc": "not found"}}' >&3;;
	esac
done
"""
CHANNEL = ("<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
           "<channel type='unix'><target type='virtio' name='org.example.talk'/></channel>")


def agent():
    with Panald() as p:
        g = Guest(p, devices=CHANNEL, append="quiet")
        heard = []
        g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
                                            lambda *a: heard.append(a[2]), None)
        refused("not connected", g.domain.hostname, libvirt.VIR_DOMAIN_GET_HOSTNAME_AGENT)
        g.run("cat > /tmp/agent <<'END'\n" + AGENT + "END\ntrue")
        g.run("sh /tmp/agent & sleep 1")
        wait_for("agent event", lambda: heard == [1], 20)
        expect("state='connected'" in g.domain.XMLDesc(), "the channel's state")
        expect_equal(g.domain.hostname(libvirt.VIR_DOMAIN_GET_HOSTNAME_AGENT), "scripted", "hostname")
        expect_equal(g.domain.getTime(), {"seconds": 1700000000, "nseconds": 123456789}, "time")
        expect_equal(g.domain.fsFreeze(), 2, "frozen")
        refused("nothing is frozen", g.domain.fsThaw)
        info = g.domain.guestInfo(0, 0)
        expect(info["os.id"] == "debian" and info["hostname"] == "scripted" and "timezone.name" not in info, info)
        expect("10.0.2.15/24" in p.virsh("domifaddr", "live", "--source", "agent"), "addresses")
        expect_equal(g.domain.guestVcpus()["online"], "0", "vCPUs")
        g.domain.setUserPassword("root", "secret")
        g.run("cat /tmp/said", "c2VjcmV0")
        p.virsh("guest-agent-timeout", "live", "--timeout", "1")
        expect('{"return":1700000000123456789}' in p.virsh("qemu-agent-command", "live", '{"execute": "guest-get-time"}'), "any command")
        expect("object" in p.virsh("qemu-agent-command", "live", "{}", status=1), "no command")
        refused("not responding", g.domain.fSTrim, None, 0)  # to which it says nothing
        p.restart()
        p.virsh("domtime", "live")
        g = None
        connection = libvirt.open(p.uri())
        domain = connection.lookupByName("live")
        stream = connection.newStream(0)
        domain.openChannel("org.example.talk", stream, 0)
        stream.send(b"hello\n")
        stream.abort()
        p.virsh("shutdown", "live", "--mode", "agent")
        wait_for("power-off", lambda: not domain.isActive(), 30)


TESTS = [(f.__name__.replace("_", " "), f) for f in (counters, resizing, media, cable, agent)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))

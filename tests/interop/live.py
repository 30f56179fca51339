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

from panald import BUILD, Console, Loop, Panald, domain_xml, expect, expect_equal, run_tests

try:
    import libvirt
except ImportError:
    print("python3-libvirt is missing; tools/install-deps --test")
    sys.exit(77)

libvirt.registerErrorHandler(lambda *_: None, None)
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

    def run(self, command, wanted=r"done-\d+", timeout=60):
        self.console.send(f"{command}; echo done-$((20+$?))\n")
        return self.console.expect(wanted, timeout)


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


TESTS = [(f.__name__.replace("_", " "), f) for f in (counters, resizing)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virt-install, virt-clone and virt-xml of Debian 12 on panald, with volumes of its pool.

    tests/interop/virtinst.py            all but what takes long
    tests/interop/virtinst.py NAME...    those whose name contains one of these
    tests/interop/virtinst.py --slow     a whole Debian from its disk
"""

import difflib
import os
import re
import shutil
import subprocess
import sys

from panald import Console, Failure, Loop, Panald, Skip, expect, expect_equal, prepared, run_tests, wait_for

try:
    import libvirt
except ImportError:
    print("python3-libvirt is missing; tools/install-deps --test")
    sys.exit(77)

libvirt.registerErrorHandler(lambda *_: None, None)


class Host(Panald):
    """A daemon and virtinst's commands on it."""

    def __init__(self):
        if not shutil.which("virt-install"):
            raise Skip("virt-install is missing; tools/install-deps --test")
        kernel, initrd = prepared("kernel-cloud-amd64/vmlinuz", "quick-cloud-amd64.img")
        self.boot = f"kernel={kernel},initrd={initrd},kernel_args=console=ttyS0 quiet panic=-1"
        super().__init__()
        self.connection = libvirt.open(self.uri())

    def tool(self, command, *args, status=0, timeout=180):
        environment = {**os.environ, "XDG_CACHE_HOME": self.path("cache"), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run([command, "--connect", self.uri(), *args], capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL, env=environment)
        except subprocess.TimeoutExpired:
            raise Failure(f"{command} {' '.join(args)} hangs") from None
        said = done.stdout + done.stderr
        if done.returncode != status:
            raise Failure(f"{command} {' '.join(args)}: status {done.returncode}: {said}{self.log()}")
        return said

    def install(self, name, *more, append="", memory=256, status=0):
        return self.tool("virt-install", "--name", name, "--memory", str(memory), "--import", "--osinfo", "debian11", "--network",
                         "none", "--graphics", "none", "--noautoconsole", "--boot", self.boot + append, *more, status=status)

    def domain(self, name):
        return self.connection.lookupByName(name)

    def pool(self):
        return self.connection.storagePoolLookupByName("default")

    def console(self, name):
        """A console of a machine that is started anew, from its first line on."""
        d = self.domain(name)
        if d.isActive():
            d.destroy()
        d.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        t = Console(libvirt, self.connection, d)
        d.resume()
        return t


def disks(xml):
    return re.findall(r"<source file='([^']*)'", xml)


def install():
    """--import with a new volume: the machine runs, and is defined with the same disk."""
    Loop.start(libvirt)
    with Host() as h:
        said = h.install("one", "--disk", "size=1,pool=default")
        expect("Domain creation completed" in said, said)
        d = h.domain("one")
        expect_equal((d.isActive(), d.isPersistent()), (1, 1), "state")
        expect_equal(disks(d.XMLDesc()), [h.path("images", "one.qcow2")], "disk")
        volume = h.pool().storageVolLookupByName("one.qcow2")
        expect_equal(volume.info()[1], 1 << 30, "capacity")
        t = h.console("one")
        t.expect(r"/ # ")
        t.send("cat /sys/block/vda/size; echo writ''ten >/dev/vda; sync; head -c 7 /dev/vda; echo\n")
        t.expect(r"\n2097152\r")
        t.expect(r"written")
        expect("path_in_use" in h.install("two", "--disk", "vol=default/one.qcow2", status=1), "a disk in use is not refused")
        h.install("two", "--disk", f"size=1,backing_store={volume.path()},backing_format=qcow2", "--noreboot")
        expect("<backingStore>" in h.pool().storageVolLookupByName("two.qcow2").XMLDesc(), "backing store")


def clone():
    Loop.start(libvirt)
    with Host() as h:
        h.install("first", "--disk", "size=1,pool=default,format=raw,sparse=yes", "--disk", "size=1,pool=default", "--noreboot")
        t = h.console("first")
        t.expect(r"/ # ")
        t.send("echo on-raw >/dev/vda; echo on-qcow2 >/dev/vdb; sync; echo do''ne\n")
        t.expect(r"done")
        said = h.tool("virt-clone", "--original", "first", "--name", "second", "--auto-clone", status=1)
        expect("must be" in said or "running" in said or "paused" in said, said)
        h.domain("first").destroy()
        h.tool("virt-clone", "--original", "first", "--name", "second", "--auto-clone")
        first, second = h.domain("first").XMLDesc(), h.domain("second").XMLDesc()
        expect_equal(len(disks(second)), 2, "disks")
        expect(not set(disks(first)) & set(disks(second)), "a disk is shared")
        expect(h.domain("first").UUIDString() != h.domain("second").UUIDString(), "UUID")
        t = h.console("second")
        t.expect(r"/ # ")
        t.send("head -n1 /dev/vda; head -n1 /dev/vdb; echo do''ne\n")
        t.expect(r"\non-raw\r")
        t.expect(r"\non-qcow2\r")
        h.domain("second").destroy()
        h.virsh("undefine", "second", "--remove-all-storage")
        expect_equal(sorted(os.listdir(h.path("images"))), sorted(os.path.basename(f) for f in disks(first)), "volumes")


def edit():
    with Host() as h:
        h.install("edited", "--disk", "size=1,pool=default", "--noreboot")
        xml = h.domain("edited").XMLDesc()
        h.tool("virt-xml", "edited", "--edit", "--memory", "300", "--confirm", "--print-diff")
        expect_equal(h.domain("edited").XMLDesc(), xml, "a diff alone changes nothing")
        h.tool("virt-xml", "edited", "--edit", "--memory", "300")
        expect_equal(h.domain("edited").maxMemory(), 300 << 10, "memory")
        h.tool("virt-xml", "edited", "--edit", "--vcpus", "3")
        expect_equal(h.domain("edited").maxVcpus(), 3, "vCPUs")
        h.tool("virt-xml", "edited", "--add-device", "--disk", "size=1,pool=default")
        expect_equal(len(disks(h.domain("edited").XMLDesc())), 2, "disks")
        h.tool("virt-xml", "edited", "--edit", "target=vdb", "--disk", "cache=none,readonly=on")
        expect("<readonly/>" in h.domain("edited").XMLDesc(), "readonly")
        h.tool("virt-xml", "edited", "--remove-device", "--disk", "target=vdb")
        expect_equal(disks(h.domain("edited").XMLDesc()), disks(xml), "disks")
        h.tool("virt-xml", "edited", "--edit", "--metadata", "title=A machine")
        h.tool("virt-xml", "edited", "--edit", "--memory", "memory=256,currentMemory=256")
        h.tool("virt-xml", "edited", "--edit", "--vcpus", "2")
        h.tool("virt-xml", "edited", "--edit", "--metadata", "title=")
        change = "\n".join(difflib.unified_diff(xml.splitlines(), h.domain("edited").XMLDesc().splitlines(), lineterm=""))
        expect(not change, f"there and back: {change}")
        h.domain("edited").create()
        wait_for("running machine", lambda: h.domain("edited").isActive(), 20)


def debian():
    """A whole Debian, over a volume whose backing store is its disk, to the login."""
    Loop.start(libvirt)
    with Host() as h:
        image = os.path.realpath(prepared("debian.img"))
        h.install("debian", "--disk", f"size=3,pool=default,backing_store={image},backing_format=raw", append=" panal.root=/dev/vda",
                  memory=1024)
        t = h.console("debian")
        t.expect(r"debian login:", 600)
        t.expect(r"root@debian:~# ", 120)
        t.send("systemctl is-system-running --wait; cat /sys/block/vda/size\n")
        t.expect(r"[\r\n]running\r", 300)
        t.expect(r"\n6291456\r")
        h.domain("debian").shutdown()
        wait_for("power-off", lambda: not h.domain("debian").isActive(), 180)


def checked(function):
    """A libvirt error that no test expects is a failure of that test alone."""
    def run():
        try:
            function()
        except libvirt.libvirtError as error:
            raise Failure(f"line {error.__traceback__.tb_next.tb_lineno}: {error}") from error
    return run


TESTS = [(f.__name__, checked(f)) for f in (install, clone, edit)]
SLOW = [(f.__name__, checked(f)) for f in (debian,)]


if __name__ == "__main__":
    slow = "--slow" in sys.argv
    wanted = [a for a in sys.argv[1:] if a != "--slow"]
    sys.exit(run_tests([t for t in (SLOW if slow else TESTS) if not wanted or any(w in t[0] for w in wanted)]))

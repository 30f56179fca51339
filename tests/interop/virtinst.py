#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virt-install, virt-clone and virt-xml of Debian 12 on panald, with volumes of its pool.

    tests/interop/virtinst.py            all but what takes long
    tests/interop/virtinst.py NAME...    those whose name contains one of these
    tests/interop/virtinst.py --slow     a whole Debian from its disk
"""

import difflib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

from client import libvirt
from panald import PATIENCE, Console, Failure, Loop, Panald, Skip, expect, expect_equal, prepared, run_tests, wait_for


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
            done = subprocess.run([command, "--connect", self.uri(), *args], capture_output=True, text=True, timeout=timeout * PATIENCE,
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


# ---- installation trees ----

def tree(h, kind):
    """What Debian's mirrors and CDs look like to virt-install, with a kernel and an initial ramdisk that give a shell."""
    kernel, initrd = prepared("kernel-amd64/vmlinuz", "quick-amd64.img")
    root = h.path(f"{kind}-installer-amd64")
    files = ("install.amd/vmlinuz", "install.amd/initrd.gz") if kind == "iso" else [
        "current/images/netboot/debian-installer/amd64/" + f for f in ("linux", "initrd.gz")]
    about = ".disk/info" if kind == "iso" else "current/images/MANIFEST"
    for name in (*files, about):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
    shutil.copy(kernel, os.path.join(root, files[0]))
    shutil.copy(initrd, os.path.join(root, files[1]))
    with open(os.path.join(root, about), "w", encoding="ascii") as f:
        f.write('Debian GNU/Linux 12.0.0 "Bookworm" - Official amd64 NETINST\n')
    return root


def serve(folder):
    """A web server for it; gives the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


# Prints "installed!" by the BIOS, which SeaBIOS shows on the serial port too, and waits.
LOADER = bytes.fromhex("31c08ed8be1b7cb40eac84c07406cd10ebf7f4ebfd") + b"".ljust(6, b"\x90") + b"installed!\r\n\0"


def phases(h, name, location, *more):
    """The installer's kernel, which "installs" by writing a boot sector; then the machine's own disk."""
    command = ["virt-install", "--connect", h.uri(), "--name", name, "--memory", "384", "--osinfo", "debian11", "--network", "none",
               "--graphics", "none", "--noautoconsole", "--wait", "5", "--disk", "size=1,pool=default,format=raw", "--location", location,
               "--extra-args", "console=ttyS0 quiet panic=-1", *more]
    with open(h.path("virt-install.log"), "w+", encoding="utf-8") as log:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              env={**os.environ, "XDG_CACHE_HOME": h.path("cache"), "LC_ALL": "C.UTF-8"}) as install:
            try:
                wait_for("installation", lambda: install.poll() is not None or h.connection.listAllDomains(
                    libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE), 60)
                log.seek(0)
                expect(install.poll() is None, log.read())
                first = h.domain(name)
                wait_for("definition", first.isPersistent, 20)
                expect("<kernel>" in first.XMLDesc() and "<on_reboot>destroy" in first.XMLDesc(), first.XMLDesc())
                expect("<kernel>" not in first.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "the machine after the installation has a kernel")
                t = Console(libvirt, h.connection, first)
                t.send("\n")
                t.expect(r"/ # ")
                zeros = "".join(f"\\{b:03o}" for b in LOADER)
                t.send("cat /proc/cmdline; echo " + ("cd-$(dd if=/dev/sr0 bs=1 skip=32769 count=5 2>/dev/null); " if "iso" in name else "no''-cd; ") +
                       f"printf '{zeros}' > /tmp/b; printf '\\125\\252' | dd of=/tmp/b bs=1 seek=510 2>/dev/null; "
                       "cat /tmp/b > /dev/vda; sync; reboot -f\n")
                t.expect("no-cd" if "iso" not in name else "cd-")
                install.wait(60 * PATIENCE)
            finally:
                if install.poll() is None:
                    install.kill()
        log.seek(0)
        expect(install.returncode == 0, log.read())
    d = h.domain(name)
    wait_for("second start", d.isActive, 20)
    t = h.console(name)
    t.expect("installed!", 60)
    d.destroy()


def location():
    """A tree on a web server, a CD image, and a kernel of one's own: each to the machine that boots from its disk."""
    Loop.start(libvirt)
    with Host() as h:
        expect(os.path.isdir(h.path("boot")), "no folder for kernels beside that of images")  # for the system's instance it is this one:
        os.makedirs("/var/lib/libvirt/boot", exist_ok=True)
        phases(h, "by-url", serve(h.path()) + os.path.basename(tree(h, "url")))
        iso = h.path("images", "installer.iso")
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", iso, tree(h, "iso")], check=True, stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        phases(h, "by-iso", iso)


DEFAULTS = (  # what is asked for beside a disk; what is said, or None when the machine has to run
    ((), None), (("--boot", "uefi"), None), (("--machine", "pc"), None), (("--video", "virtio"), None), (("--sound", "ich9"), None),
    (("--osinfo", "win10"), None), (("--watchdog", "i6300esb"), None), (("--clock", "offset=localtime"), None),
    (("--disk", "size=1,bus=scsi", "--controller", "scsi,model=virtio-scsi"), None),
    (("--disk", "size=1,bus=usb"), None), (("--disk", "size=1,bus=sata"), None),
    (("--graphics", "vnc"), None), (("--graphics", "spice"), None), (("--tpm", "emulator"), "--tpm none"), (("--filesystem", "/tmp,tag"), "'filesystem'"),
)


def defaults():
    """What virt-install chooses by itself runs; what cannot be is refused with a word of advice. Nothing is left behind."""
    with Host() as h:
        for more, says in DEFAULTS:
            graphics = () if "--graphics" in more else ("--graphics", "none")
            osinfo = () if "--osinfo" in more else ("--osinfo", "debian11")
            said = h.tool("virt-install", "--name", "m", "--memory", "256", "--import", "--disk", "size=1", "--noautoconsole", "--network",
                          "user", *graphics, *osinfo, *more, status=1 if says else 0)
            expect(not says or says in said, said)
            if not says:
                d = h.domain("m")
                expect(d.isActive(), f"{more}: it does not run")
                if "--graphics" in more:  # kept, and not shown by what runs: nobody could connect
                    expect("<graphics" in d.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) and "<graphics" not in d.XMLDesc(), d.XMLDesc())
                    expect(any("no display is served" in m for m in d.messages()), d.messages())
                h.domain("m").destroy()
                h.virsh("undefine", "m", "--remove-all-storage", "--nvram")
            expect_equal((h.connection.listAllDomains(), os.listdir(h.path("images"))), ([], []), f"left after {more}")


def checked(function):
    """A libvirt error that no test expects is a failure of that test alone."""
    def run():
        try:
            function()
        except libvirt.libvirtError as error:
            raise Failure(f"line {error.__traceback__.tb_next.tb_lineno}: {error}") from error
    return run


TESTS = [(f.__name__, checked(f)) for f in (install, clone, edit, defaults, location)]
SLOW = [(f.__name__, checked(f)) for f in (debian,)]


if __name__ == "__main__":
    slow = "--slow" in sys.argv
    wanted = [a for a in sys.argv[1:] if a != "--slow"]
    sys.exit(run_tests([t for t in (SLOW if slow else TESTS) if not wanted or any(w in t[0] for w in wanted)]))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that come and go while Debian's kernel runs: its own drivers for hot-plug slots, disks, cards, used and removed.

    tests/guest/hotplug.py              the short selection of ./check
    tests/guest/hotplug.py --all        everything
    tests/guest/hotplug.py NAME...      those whose name contains one of these
"""

import array
import fcntl
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from control import Qmp, expect
from linux import BOOT_S, PROMPT, SHELL, boot
from machine import BUILD, run_tests
from pc import modules

MIB = 1 << 20
GONE_S = 40  # the guest's driver waits five seconds for a second press of the button


class Plug(Qmp):
    """A control connection that hands files over, and keeps the events with their data."""

    def __init__(self, path):
        super().__init__(path)
        self.told = []
        self.execute("qmp_capabilities")

    def read(self):
        msg = super().read()
        if "event" in msg:
            self.told.append(msg)
        return msg

    def hand(self, number, fd):
        text = json.dumps({"execute": "add-fd", "arguments": {"fdset-id": number}, "id": 7}).encode() + b"\n"
        self.socket.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        expect("return" in self.answer(), "add-fd")

    def add(self, driver, options=None, file=None, **more):
        """The answer to device_add; `file`: a descriptor, in options as FILE."""
        if file is not None:
            self.hand(30, file)
            options = options.replace("FILE", "/dev/fdset/30")
        if options is not None:
            more["options"] = options
        answer = self.execute("device_add", driver=driver, **more)
        if file is not None:
            expect("return" in self.execute("remove-fd", **{"fdset-id": 30}), "remove-fd")
        return answer

    def plugged(self, *args, **more):
        answer = self.add(*args, **more)
        expect("return" in answer, answer)
        return answer["return"]["id"]

    def gone(self, *ids, seconds=GONE_S):
        """Waits for DEVICE_DELETED of each."""
        left, deadline = set(ids), time.monotonic() + seconds
        while True:
            for msg in self.told:
                if msg["event"] == "DEVICE_DELETED":
                    left.discard(msg["data"]["device"])
            self.told = [m for m in self.told if m["event"] != "DEVICE_DELETED"]
            if not left:
                return
            expect(time.monotonic() < deadline, f"{left} did not go in {seconds} s")
            self.socket.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                self.read()
            except (socket.timeout, TimeoutError):
                pass
            self.socket.settimeout(30)

    def slots(self):
        return {s["bus"]: s.get("device") for s in self.execute("query-slots")["return"] if s["filled"]}


class Running:
    """A guest at its shell, with `ports` slots."""

    def __init__(self, *args, ports=4, first=False, pc=None, **more):
        self.dir = tempfile.TemporaryDirectory()
        path = os.path.join(self.dir.name, "qmp")
        if first:
            args = [a.replace("FIRST", self.image("first.raw")) if a.startswith("FIRST") else a for a in args]
        args = ["--control", path, "--root-ports", str(ports), *args]
        if pc: # a firmware, and Debian's whole kernel with drivers for other cards
            drivers = os.path.join(self.dir.name, "drivers.img")
            with open(drivers, "wb") as f:
                f.write(modules(self.dir.name, "amd64", "nvme", "e1000e", "xhci_pci", "usb_storage", "sd_mod", "usbhid", "hid_generic"))
            args += ["--board", "pc", "--firmware", pc, "--initrd", drivers]
        self.m = boot("amd64" if pc else "cloud-amd64", *args, append="panic=-1", **more)
        try:
            self.m.expect(SHELL, BOOT_S)
            self.m.expect(PROMPT, 60)
            self.q = Plug(path)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.m.close()
        self.dir.cleanup()

    def image(self, name, size=16 * MIB, data=b""):
        path = os.path.join(self.dir.name, name)
        with open(path, "wb") as f:
            f.write(data)
            f.truncate(size)
        return path

    def run(self, command, timeout=60):
        out, status = self.m.run(command, timeout)
        expect(status == 0, f"{command}: status {status}\n{out}")
        return out

    def until(self, command, timeout=30):
        """Until the command succeeds in the guest; gives what it printed."""
        return self.run(f"for i in $(seq {timeout * 5}); do {command} && break; sleep 0.2; done; {command}", timeout + 30)

    def disk(self, name, path, **more):
        fd = os.open(path, os.O_RDWR)
        try:
            return self.q.plugged("disk", f"FILE,id={name}" + more.pop("options", ""), file=fd, **more)
        finally:
            os.close(fd)

    def eject(self, *ports):
        """What an administrator types in the guest, who does not wait for the button's five seconds."""
        self.run("sleep 0.1; " + " ".join(f"echo 0 > /sys/bus/pci/slots/{p}/power &" for p in ports) + " wait", 60)


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def write_and_read(r, device, path):
    """Data goes to the image, and comes back from it."""
    r.until(f"test -b /dev/{device}")
    out = r.run(f"dd if=/dev/urandom of=/tmp/r bs=64k count=16 2>/dev/null; dd if=/tmp/r of=/dev/{device} bs=64k conv=fsync 2>/dev/null; "
                f"echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/{device} bs=64k count=16 2>/dev/null | sha256sum; sha256sum < /tmp/r", 60)
    sums = re.findall(r"[0-9a-f]{64}", out)
    expect(len(sums) == 2 and sums[0] == sums[1], f"{device} reads otherwise than it was written: {out}")
    with open(path, "rb") as f:
        expect(hashlib.sha256(f.read(MIB)).hexdigest() == sums[0], "the image holds something else")


def a_disk():
    """The whole way with the button and the driver's five seconds."""
    with Running() as r:
        path = r.image("a.raw")
        before = files(r.m.process.pid)
        r.disk("vdx", path)
        expect(r.q.slots() == {"port1": "vdx"}, r.q.slots())
        write_and_read(r, "vda", path)
        expect("return" in r.q.execute("device_del", id="vdx"), "device_del")
        again = r.q.execute("device_del", id="vdx")
        expect("already in the process of unplug" in again["error"]["desc"], again)
        r.q.gone("vdx")
        r.until("test ! -e /dev/vda")
        expect(r.q.slots() == {} and files(r.m.process.pid) == before, "something is left")


def user_net():
    """A network helper as who commands a machine in its sandbox starts it; the descriptor is the machine's side."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    word, said = os.pipe()

    def numbers():
        os.dup2(fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 20), 3)
        os.dup2(fcntl.fcntl(said, fcntl.F_DUPFD, 20), 4)

    helper = subprocess.Popen([os.path.join(BUILD, "panal-net-user")], stdin=subprocess.DEVNULL, pass_fds=(3, 4), preexec_fn=numbers)
    theirs.close()
    os.close(said)
    expect(os.read(word, 100) == b"ok\n", "the helper does not start")
    os.close(word)
    return ours, helper


def ping(r, device):
    r.until(f"test -e /sys/class/net/{device}")
    r.run(f"ip link set {device} up; ip addr add 10.0.2.15/24 dev {device}; ping -c 2 -w 20 10.0.2.2", 40)


def rounds(count, *args):
    """A disk and a card come, are used, and go."""
    def test():
        with Running(*args) as r:
            path = r.image("a.raw")
            for n in range(count):
                sock, helper = user_net()
                r.disk("vdx", path)
                r.q.plugged("net", "user,helper=FILE,mac=52:54:00:00:00:07", file=sock.fileno(), id="card", bus="port3")
                sock.close()
                expect(r.q.slots() == {"port1": "vdx", "port3": "card"}, r.q.slots())
                write_and_read(r, "vda", path)
                ping(r, "eth0")
                for name in ("vdx", "card"):
                    expect("return" in r.q.execute("device_del", id=name), "device_del")
                r.eject(1, 3)
                r.q.gone("vdx", "card")
                helper.wait(10)
                r.until("test ! -e /dev/vda -a ! -e /sys/class/net/eth0")
                if n == 0:
                    before = files(r.m.process.pid)
            expect(files(r.m.process.pid) == before, f"{files(r.m.process.pid)} descriptors, {before} after the first round")
            trouble = r.run("dmesg | grep -E -i 'call trace|BUG:|hung' || true")
            expect(not trouble, trouble)
    return test


WRITER = "while dd if=/dev/zero of=/dev/vda bs=64k count=64 oflag=direct 2>/dev/null; do :; done"


def under_load():
    """Disks go while the guest writes to them: after it has let go, and without its being asked. Debian 12's virtio driver
    waits for ever for a device that was pulled, with the lock of all slots; a reset helps, the rest goes on."""
    with Running("--cpus", "2") as r:
        path = r.image("a.raw")
        for force in (False, True):
            r.disk("vdx", path)
            r.until("test -b /dev/vda")
            r.run(f"({WRITER}) >/dev/null 2>&1 & true")
            before = r.q.execute("query-blockstats")["return"][0]["stats"]["wr_operations"]
            time.sleep(1)
            expect(r.q.execute("query-blockstats")["return"][0]["stats"]["wr_operations"] > before, "the guest does not write")
            expect("return" in r.q.execute("device_del", id="vdx", **({"force": True} if force else {})), "device_del")
            if not force:
                r.eject(1)
                r.run("wait")
                r.until("test ! -b /dev/vda", 60)
                r.run("rm -f /dev/vda")
            r.q.gone("vdx")
        r.run("grep -c ^processor /proc/cpuinfo")
        r.q.execute("system_reset")
        r.m.expect(SHELL, BOOT_S)
        r.m.expect(PROMPT, 60)
        r.disk("vdx", path)
        write_and_read(r, "vda", path)


def mistakes():
    with Running("--disk", "FIRST", "--net", "user", ports=1, first=True) as r:
        def refused(answer, *words):
            expect("error" in answer and all(w in answer["error"]["desc"] for w in words), (answer, words))
            return answer["error"]["class"]

        expect(refused(r.q.execute("device_del", id="nothing"), "Device 'nothing' not found") == "DeviceNotFound", "class")
        refused(r.q.execute("device_del"), "needs")
        refused(r.q.execute("device_del", id="disk0"), "'disk0' cannot be unplugged")
        refused(r.q.execute("device_del", id="nic0", force=True), "'nic0' cannot be unplugged")
        refused(r.q.add("disk", "/etc/passwd,readonly"), "add-fd", "/etc/passwd")
        refused(r.q.add("disk", "/dev/fdset/99"), "/dev/fdset/99")
        refused(r.q.add("disk", "/dev/fdset/99,colour=red"), "colour")
        refused(r.q.add("floppy"), "'floppy' is not a valid device model name")
        refused(r.q.add("usb", "tablet"), "no USB controller")
        refused(r.q.add("rng", id="disk0"), "Duplicate device ID 'disk0'")
        refused(r.q.add("rng", id="a,b"), "no name")
        refused(r.q.add("rng", bus="port2"), "no slot port2")
        refused(r.q.add("rng", bus="pci.0"), "Bus 'pci.0' not found")
        refused(r.q.add("net", "none"), "connected to nothing")
        path = r.image("b.raw")
        r.disk("vdx", path)
        fd = os.open(path, os.O_RDWR)
        refused(r.q.add("disk", "FILE,id=vdy", file=fd), "/dev/fdset/30")
        refused(r.q.add("rng", bus="port1"), "port1 is taken")
        refused(r.q.add("rng"), "no slot is free")
        other = os.open(r.image("c.raw"), os.O_RDWR)
        refused(r.q.add("disk", "FILE,id=vdx", file=other), "id=vdx is there twice")
        refused(r.q.add("disk", "FILE,id=vdz,bus=sata", file=other), "virtio, nvme or usb")
        os.close(fd)
        os.close(other)
        expect(len(r.q.execute("query-blockstats")["return"]) == 2, "a disk that did not come is listed")
        # Asked, and the guest starts again instead of answering: it goes at the reset.
        r.until("test -b /dev/vdb")
        r.q.execute("stop")
        r.q.execute("device_del", id="vdx")
        r.q.execute("system_reset")
        r.q.gone("vdx")
        # What comes while the machine stands is there when it goes on.
        expect(r.q.plugged("rng") == "rng0", "a name is made")
        r.q.execute("cont")
        r.m.expect(SHELL, BOOT_S)
        r.m.expect(PROMPT, 60)
        r.until("grep virtio_rng /sys/class/misc/hw_random/rng_available")


def on_a_pc(firmware):
    """Behind a firmware's bridges: NVMe, an Intel card, USB; a disk that was there from the start; all over a reset."""
    def test():
        with Running("--usb", "controller", "--disk", "FIRST,id=cold", "--pci-slots", "port2", first=True, pc=firmware) as r:
            load = "for f in /m/*.ko; do insmod $f 2>/dev/null; done; true"
            r.run(load, 120)
            expect(r.q.slots() == {"port2": "cold"}, r.q.slots())
            nvme, usb = r.image("n.raw"), r.image("u.raw")
            sock, helper = user_net()
            r.disk("fast", nvme, options=",bus=nvme")
            r.q.plugged("net", "user,model=e1000e,helper=FILE", file=sock.fileno(), id="intel")
            sock.close()
            r.disk("stick", usb, options=",bus=usb")
            expect(r.q.plugged("usb", "tablet") == "usb0", "a name is made")
            expect(r.q.slots() == {"port1": "fast", "port2": "cold", "port3": "intel"}, r.q.slots())
            write_and_read(r, "nvme0n1", nvme)
            write_and_read(r, "sda", usb)
            ping(r, "eth0")
            r.until("grep -qi tablet /proc/bus/input/devices")
            for name in ("stick", "usb0"):
                expect("return" in r.q.execute("device_del", id=name), "device_del")
            r.q.gone("stick", "usb0")
            r.until("test ! -b /dev/sda")
            r.q.execute("system_reset")
            r.m.expect(SHELL, BOOT_S)
            r.m.expect(PROMPT, 60)
            r.run(load, 120)
            write_and_read(r, "nvme0n1", nvme)
            ping(r, "eth0")
            for name in ("fast", "cold", "intel"):
                expect("return" in r.q.execute("device_del", id=name), "device_del")
            r.eject(1, 2, 3)
            r.q.gone("fast", "cold", "intel")
            helper.wait(10)
            expect(r.q.slots() == {} and not r.q.execute("query-blockstats")["return"], "something is left")
            r.until("test ! -e /dev/nvme0n1 -a ! -e /dev/vda -a ! -e /sys/class/net/eth0")
    return test


TESTS = [("bios", on_a_pc("bios"), True), ("uefi", on_a_pc("uefi"), False), ("a disk", a_disk, True), ("three rounds", rounds(3), True), ("under load", under_load, True), ("mistakes", mistakes, True),
         ("twenty rounds", rounds(20), False)]

if __name__ == "__main__":
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    chosen = [(n, f) for n, f, short in TESTS if any(w in n for w in words) or (not words and (short or "--all" in sys.argv))]
    sys.exit(run_tests(chosen))

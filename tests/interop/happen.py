#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens in machines that run, as `virsh event` hears it: failures of disks, the guest's clock and memory, tuning.

    tests/interop/happen.py            everything
    tests/interop/happen.py NAME...    those whose name contains one of these
"""

import os
import re
import subprocess
import sys

from panald import PATIENCE, Panald, Skip, enter_namespace, expect, expect_equal, run_tests, wait_for

try:
    import libvirt
except ImportError:
    print("python3-libvirt is missing; tools/install-deps --test")
    sys.exit(77)

from live import DISK, MIB, Guest, refused, sparse

NAMESPACE = enter_namespace(needed=False)
PAUSED, IOERROR, RUNNING = libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, libvirt.VIR_DOMAIN_RUNNING


class Listener:
    """virsh event --all, as administrators run it."""

    def __init__(self, p):
        self.path = p.path("events.txt")
        self.out = open(self.path, "wb")
        environment = {**os.environ, "LC_ALL": "C"}
        self.process = subprocess.Popen(["stdbuf", "-oL", "virsh", "-c", p.uri(), "event", "--all", "--loop", "--timeout", "300"],
                                        stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT, env=environment)

    def text(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def hears(self, pattern, seconds=40):
        wait_for(f"event {pattern!r} in {self.text()!r}", lambda: re.search(pattern, self.text()), seconds)
        return re.search(pattern, self.text())

    def close(self):
        self.process.terminate()
        self.process.wait(20 * PATIENCE)
        self.out.close()


class Small:
    """A file system that is soon full, in the daemon's folder."""

    def __init__(self, p):
        self.path = p.path("small")
        os.mkdir(self.path)
        if not NAMESPACE or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", self.path], capture_output=True,
                                           check=False).returncode:
            raise Skip("no file system can be mounted here (root is needed)")

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)


def listening(g):
    """A listener that is registered: an event that does not matter has come."""
    heard = Listener(g.p)
    for n in range(20):
        g.domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, f"title {n}", None, None, 0)
        try:
            heard.hears("metadata-change", 1)
            return heard
        except Exception:  # pylint: disable=broad-except
            pass
    return heard


def full_disk(policy, then):
    """A guest writes to an image on a file system that is full."""
    def test():
        with Panald() as p:
            small = Small(p)
            heard = None
            try:
                image = sparse(p, "small/a.raw", 16 * MIB)
                disk = DISK.format(image).replace("type='raw'", f"type='raw' error_policy='{policy}'")
                g = Guest(p, devices=disk)
                heard = listening(g)
                heard.reasons = []
                g.connection.domainEventRegisterAny(g.domain, libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
                                                    lambda _c, _d, *what: heard.reasons.append(what[:4]), None)
                then(p, g, small, heard)
                g.domain.destroy()
            finally:
                if heard:
                    heard.close()
                small.close()
    return test


WRITE = "dd if=/dev/urandom of=/dev/vda bs=64k count=48 conv=fsync 2>&1; echo dd-$?"


def reason(p, heard, action):
    wanted = (p.path("small/a.raw"), "virtio-disk0", action, "enospc")
    wait_for(f"{wanted} in {heard.reasons}", lambda: wanted in heard.reasons, 20)


def waits(p, g, small, heard):
    g.console.send(f"{WRITE}\n")
    heard.hears(r"'io-error' for domain '?live'?: .*a.raw \(virtio-disk0\) pause")
    reason(p, heard, libvirt.VIR_DOMAIN_EVENT_IO_ERROR_PAUSE)
    heard.hears(r"'lifecycle' for domain '?live'?: Suspended I/O Error")
    expect_equal(g.domain.state()[:2], [PAUSED, IOERROR], "its state")
    expect_equal(g.domain.diskErrors(), {"vda": libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE}, "diskErrors")
    expect("vda: no space" in p.virsh("domblkerror", "live"), "domblkerror")
    p.restart()  # the reason is known to the next daemon
    domain = libvirt.open(p.uri()).lookupByName("live")
    expect_equal(domain.state()[:2], [PAUSED, IOERROR], "its state after a restart")
    domain.resume()  # still full
    wait_for("another stop", lambda: domain.state()[:2] == [PAUSED, IOERROR], 20)
    small.resize("32m")
    domain.resume()
    wait_for("the data in the image", lambda: os.stat(p.path("small/a.raw")).st_blocks * 512 >= 3 * MIB, 60)
    expect_equal(domain.state()[0], RUNNING, "its state")
    expect_equal(domain.diskErrors(), {}, "diskErrors")
    g.domain = domain


def reports(p, g, _small, heard):
    g.run(WRITE, "dd-1")
    heard.hears(r"'io-error' for domain '?live'?: .*a.raw \(virtio-disk0\) report")
    reason(p, heard, libvirt.VIR_DOMAIN_EVENT_IO_ERROR_REPORT)
    expect_equal(g.domain.state()[0], RUNNING, "its state")


def ignores(p, g, _small, heard):
    g.run(WRITE, "dd-0")
    heard.hears(r"'io-error' for domain '?live'?: .*a.raw \(virtio-disk0\) none")
    reason(p, heard, libvirt.VIR_DOMAIN_EVENT_IO_ERROR_NONE)


def threshold():
    with Panald() as p:
        g = Guest(p, devices=DISK.format(sparse(p, "a.raw", 16 * MIB)))
        heard = listening(g)
        p.virsh("domblkthreshold", "live", "vda", "2097152")
        g.run("dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync 2>/dev/null")
        expect("block-threshold" not in heard.text(), heard.text())
        g.run("dd if=/dev/zero of=/dev/vda bs=64k seek=32 count=1 conv=fsync 2>/dev/null")
        heard.hears(r"'block-threshold' for domain '?live'?: dev: vda\(.*a.raw\) 2097152 \d+")
        refused("not found", g.domain.setBlockThreshold, "vdz", 5, 0)
        heard.close()


def clock_and_memory():
    with Panald() as p:
        g = Guest(p)
        heard = listening(g)
        g.domain.setMemoryFlags(160 * 1024, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        heard.hears(r"'balloon-change' for domain '?live'?: \d+KiB")
        wait_for("the end of it", lambda: f": {160 * 1024}KiB" in heard.text(), 30)
        g.run("test -e /dev/rtc0 || mknod /dev/rtc0 c 252 0; date -s '2030-01-02 03:04:05'; hwclock -w -u -f /dev/rtc0")
        offset = int(heard.hears(r"'rtc-change' for domain '?live'?: (-?\d+)").group(1))
        now = int(subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout)
        wanted = 1893553445 - now
        expect(abs(offset - wanted) < 120, f"{offset} instead of {wanted}")
        heard.close()


def tuning():
    with Panald() as p:
        g = Guest(p)
        heard = listening(g)
        p.virsh("vcpupin", "live", "0", "0", "--live")
        heard.hears(r"'tunable' for domain '?live'?:\s+cputune.vcpupin0: 0")
        p.virsh("emulatorpin", "live", "0", "--live")
        heard.hears(r"cputune.emulatorpin: 0")
        expect("<vcpupin vcpu='0' cpuset='0'/>" in g.domain.XMLDesc(), "the document")
        p.restart()
        expect("<vcpupin vcpu='0' cpuset='0'/>" in libvirt.open(p.uri()).lookupByName("live").XMLDesc(), "the next daemon's")
        heard.close()


TESTS = [("full disk, stop", full_disk("stop", waits)), ("full disk, enospace", full_disk("enospace", waits)),
         ("full disk, report", full_disk("report", reports)), ("full disk, ignore", full_disk("ignore", ignores)),
         ("threshold", threshold), ("clock and memory", clock_and_memory), ("tuning", tuning)]

if __name__ == "__main__":
    sys.exit(run_tests([(n, f) for n, f in TESTS if not sys.argv[1:] or any(w in n for w in sys.argv[1:])]))

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to boot and to end: kernel formats, initrds, transports, devices, memory sizes, exit statuses, dry runs.

    tests/guest/boot.py              the short selection of ./check
    tests/guest/boot.py --all        everything
    tests/guest/boot.py NAME...      those whose name contains one of these
"""

import lzma
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from linux import BOOT_S, PROMPT, SHELL, boot, check, ends_well, kernel
from machine import BUILD, PATIENCE, Failure, Machine, Skip, prepared, run_tests

SMALL = {kind: os.path.join(BUILD, "tests/guest/system/multiboot." + kind) for kind in ("elf", "bin")}


def vmm(*args, timeout=60):
    """Runs panal-vmm without input; gives its status and what it said."""
    done = subprocess.run([os.path.join(BUILD, "panal-vmm"), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def small(line, *args, kind="elf", memory="64M"):
    return vmm(SMALL[kind], "--accel", "soft", "--memory", memory, "--append", line, *args)


def shell(m):
    m.expect(SHELL, BOOT_S)
    m.expect(PROMPT, 60)


REBOOTED = 4


def ends_rebooted(m):
    """A reset under --no-reboot is no power-off: a status of its own and one line."""
    status = m.wait(60)
    check(status == REBOOTED and m.text.count("ends the machine (--no-reboot)") == 1,
          f"exit status {status} after a reboot, {REBOOTED} and a line expected\n{m.tail()}")


def off(m):
    m.send("poweroff -f\n")
    ends_well(m)


# ---- kernel formats ----

def packed():
    """The guest decompresses its kernel itself."""
    with boot("cloud-amd64", "--unpack", "guest") as m:
        m.expect(SHELL, 600)
        m.expect(PROMPT, 60)
        off(m)


def unpack_lz4(data):
    """The legacy LZ4 container (lz4 -l): blocks, each after its size."""
    out, at = bytearray(), 4
    while at + 4 < len(data):
        size = struct.unpack_from("<I", data, at)[0]
        if size > len(data) - at - 4:
            break
        at += 4
        out += unpack_lz4_block(data[at:at + size])
        at += size
    return bytes(out)


def unpack_lz4_block(block):
    out, at = bytearray(), 0
    while at < len(block):
        token = block[at]
        at += 1
        length = token >> 4
        if length == 15:
            while True:
                length += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        out += block[at:at + length]
        at += length
        if at >= len(block):
            break
        offset = block[at] | block[at + 1] << 8
        at += 2
        length = token & 15
        if length == 15:
            while True:
                length += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        length += 4
        begin = len(out) - offset
        if length <= offset:
            out += out[begin:begin + length]
        else:
            out += (out[begin:] * (length // offset + 1))[:length]
    return out


def unpack_kernel(path):
    """The vmlinux inside of a bzImage."""
    with open(path, "rb") as f:
        image = f.read()
    setup = (image[0x1f1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup * 512 + offset:][:length]
    if payload[:4] == b"\x02\x21\x4c\x18":
        return unpack_lz4(payload)
    if payload[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(payload)
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(payload)
    raise Skip(f"{path} is compressed with {payload[:6].hex()}, which this test does not unpack")


def vmlinux():
    """The vmlinux by itself, an ELF with a PVH entry."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "vmlinux")
        with open(path, "wb") as f:
            f.write(unpack_kernel(kernel("cloud-amd64")))
        with Machine("--kernel", path, "--initrd", prepared("quick-cloud-amd64.img"), "--memory", "512M", "--append",
                     "console=ttyS0") as m:
            m.expect("Hypervisor|Booting paravirtualized|Command line", BOOT_S)
            shell(m)
            off(m)


def multiboot(kind):
    def test():
        with tempfile.TemporaryDirectory() as d:
            paths = [os.path.join(d, "one"), os.path.join(d, "two")]
            for path, data in zip(paths, (b"\x01" * 5001, b"\xff" * 70000)):
                with open(path, "wb") as f:
                    f.write(data)
            status, out = small("exit=3 and a long tail " + "x" * 5000, "--initrd", paths[0], "--initrd", paths[1], kind=kind)
        check(status == 7, f"status {status}, 7 expected: {out}")
        check("magic 2badb002 lower 0000027f upper 0000fc00" in out, out)
        check("line exit=3 and a long tail " + "x" * 5000 + "\n" in out.replace("\r", ""), "the command line is another")
        check(f"module size {5001:08x} sum {5001:08x}" in out and f"module size {70000:08x} sum {255 * 70000:08x}" in out, out)
        check("map 0000000000100000 0000000003f00000 type 00000001" in out, out)
    return test


def cpio(name, text):
    """A newc archive of one file."""
    def entry(path, data, mode):
        fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path) + 1, 0]
        head = ("070701" + "".join(f"{v:08x}" for v in fields) + path + "\0").encode()
        return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
    return entry(name, text, 0o100644) + entry("TRAILER!!!", b"", 0)


def two_initrds():
    """Joined initrds, the first of which is compressed and ends at an odd address; also after a reboot."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "more.cpio")
        with open(path, "wb") as f:
            f.write(cpio("from-the-second", b"second archive\n"))
        with boot("cloud-amd64", "--initrd", path) as m:
            shell(m)
            out, _ = m.run("cat /from-the-second")
            check("second archive" in out, out)
            m.send("reboot -f\n")
            shell(m)
            out, _ = m.run("cat /from-the-second")
            check("second archive" in out, f"after a reboot: {out}")
            off(m)


# ---- devices ----

def mmio():
    with tempfile.TemporaryDirectory() as d:
        disk = os.path.join(d, "disk")
        with open(disk, "wb") as f:
            f.write(b"first sector".ljust(1 << 20, b"."))
        with boot("cloud-amd64", "--virtio", "mmio", "--disk", disk, "--net", "user", "--rng") as m:
            shell(m)
            out, _ = m.run("ls /sys/bus/virtio/drivers/*/ | grep -c '^virtio'; head -c 12 /dev/vda; echo; dd if=/dev/vda bs=64k | wc -c")
            check("first sector" in out and str(1 << 20) in out, f"the disk: {out}")
            check(re.search(r"^3$", out, re.M), f"3 virtio devices are bound, the guest says {out}")
            out, _ = m.run("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ping -c 1 -W 10 10.0.2.2 | tail -2; "
                           "dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c")
            check(re.search(r"\b0% packet loss", out), f"the network: {out}")
            check(out.split()[-1] == "64", f"/dev/hwrng: {out}")
            off(m)


def console():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "console")
        with boot("cloud-amd64", "--console", "file:" + path) as m:
            shell(m)
            out, status = m.run("for n in 1 2 3; do echo line $n of the console >/dev/hvc0; done; sync", 30)
            check(status == 0, out)
            off(m)
        with open(path) as f:
            text = f.read()
        check(all(f"line {n} of the console" in text for n in (1, 2, 3)), f"hvc0 gave {text!r}")


def typed_ahead():
    """Input that is there, and at its end, before the guest has a driver for its port: all of it arrives, once."""
    image, initrd = kernel("cloud-amd64"), prepared("quick-cloud-amd64.img")
    done = subprocess.run([os.path.join(BUILD, "panal"), "run", "--accel", "soft", "--memory", "256M", "--kernel", image, "--initrd",
                           initrd, "--append", "console=ttyS0 quiet"], input=b"echo twice $((6*7)) two; poweroff -f\n",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BOOT_S * PATIENCE, check=False)
    text = done.stdout.decode("utf-8", "replace")
    check(done.returncode == 0 and text.count("twice 42 two") == 1, f"status {done.returncode}: {text[-500:]}")


def rng():
    with boot("cloud-amd64", "--rng") as m:
        shell(m)
        out, _ = m.run("cat /sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng bs=512 count=8 2>/dev/null | sort -u | wc -c")
        check("virtio_rng" in out and int(out.split()[-1]) > 3500, out)
        off(m)


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1)) / 1024


def balloon():
    """Free page reporting: what the guest frees, this host gets back."""
    with boot("cloud-amd64", "--balloon", memory="1G") as m:
        shell(m)
        out, _ = m.run("ls /sys/bus/virtio/drivers/virtio_balloon")
        check("virtio" in out, f"the driver has no device: {out}")
        m.run("mount -t tmpfs -o size=300m none /mnt; dd if=/dev/zero of=/mnt/f bs=1M count=200 2>/dev/null", 120)
        full = rss_mib(m.process.pid)
        check(full > 200, f"the machine has {full:.0f} MiB after the guest wrote 200")
        m.run("rm /mnt/f", 60)
        for _ in range(60):
            now = rss_mib(m.process.pid)
            if now < full - 150:
                break
            time.sleep(1)
        else:
            raise Failure(f"{full:.0f} MiB before the guest freed 200 MiB, {now:.0f} a minute after")
        out, status = m.run("dd if=/dev/zero of=/mnt/f bs=1M count=100 2>/dev/null; sha256sum </mnt/f", 120)
        zeros = subprocess.run("head -c 104857600 /dev/zero | sha256sum", shell=True, capture_output=True, text=True, check=True)
        check(zeros.stdout.split()[0] in out, f"memory taken back holds other bytes: {out}")
        off(m)


def high_memory():
    """5 GiB: 2 of them above 4 GiB."""
    with boot("cloud-amd64", memory="5G") as m:
        shell(m)
        out, _ = m.run("free -m | sed -n 2p; grep 'System RAM' /proc/iomem")
        check(int(out.split()[1]) > 4800, f"free says {out}")
        off(m)


# ---- ends ----

def no_reboot():
    with boot("cloud-amd64", "--no-reboot") as m:
        shell(m)
        m.send("reboot -f\n")
        ends_rebooted(m)


def statuses():
    for kind in SMALL:
        for value in (0, 1, 23, 127):
            status, out = small(f"exit={value}", kind=kind)
            check(status == (value << 1 | 1), f"debug exit {value} gives status {status}: {out}")
    status, out = small("exit=255")
    check(status == 255, f"debug exit 255 gives status {status}")
    status, out = small("off")
    check(status == 0, f"power-off gives status {status}: {out}")
    status, out = small("reset", "--no-reboot")
    check(status == REBOOTED and out.count("panal-vmm: ") == out.count("--no-reboot") == 1, f"reset with --no-reboot gives status {status}: {out}")
    for extra in ((), ("--no-reboot",)):
        status, out = small("triple", *extra)
        lines = [l for l in out.splitlines() if not l.startswith("guest:")]
        check(status == 1 and len(lines) == 1 and "triple fault" in lines[0], f"triple fault: status {status}, {lines}")


def small_reset():
    """A machine that resets for ever starts anew each time."""
    with Machine(SMALL["elf"], "--memory", "16M", "--append", "reset") as m:
        for _ in range(5):
            m.expect("guest: magic 2badb002", 30)
        m.process.terminate()
        m.wait(20)


def pvpanic():
    """The pvpanic device's report ends or pauses nothing by itself but is an event; the machine goes on."""
    with tempfile.TemporaryDirectory() as d:
        from control import Qmp
        path = os.path.join(d, "qmp")
        with Machine(SMALL["elf"], "--memory", "16M", "--append", "panic", "--paused", "--control", path) as m:
            q = Qmp(path)
            q.execute("qmp_capabilities")
            q.execute("cont")
            q.expect_event("GUEST_PANICKED")
            q.execute("quit")
            check(m.wait(20) == 0, "quit: status is not 0")


def panic():
    """The kernel panics before any driver could report it, and reboots by panic=1: not a power-off, and a line says so."""
    with boot("cloud-amd64", "--no-reboot", append="panic=1 rdinit=/nothing init=/nothing") as m:
        m.expect("Kernel panic", BOOT_S)
        ends_rebooted(m)


# ---- dry runs ----

def dry_runs():
    good = [("--memory", "5G"), ("--cpus", "64"), ("--cpus", "64,sockets=2,cores=16,threads=2"), ("--memory", "1048576K"),
            ("--memory", "1T"), ("--virtio", "mmio", "--rng", "--balloon", "--console", "none")]
    for args in good:
        status, out = vmm(SMALL["elf"], "--accel", "soft", "--dry-run", *args)
        check(status == 0 and "guest:" not in out, f"{args}: status {status}: {out}")
    image = prepared("kernel-cloud-amd64/vmlinuz")
    initrd = prepared("quick-cloud-amd64.img")
    bad = [(image, "--memory", "8M"), (image, "--memory", "56M", "--initrd", initrd), (image, "--memory", "0"), (image, "--memory", "2T"),
           (image, "--cpus", "65"), (image, "--cpus", "3,threads=2"), ("/nothing",), (SMALL["elf"], "--append", "x" * 65536),
           (image, "--append", "x" * 2048), ("/bin/true",)]
    for args in bad:
        for extra in ((), ("--unpack", "guest")):
            status, out = vmm(*args, *extra, "--accel", "soft", "--dry-run")
            what = [a[:60] for a in args + extra]
            check(status in (1, 2), f"{what}: status {status}: {out}")
            check(len(out.splitlines()) == 1 and out.startswith("panal-vmm: error: "), f"{what}: not one clear line: {out}")


SHORT = [
    ("multiboot elf", multiboot("elf")),
    ("multiboot with load addresses", multiboot("bin")),
    ("exit statuses", statuses),
    ("resets", small_reset),
    ("pvpanic", pvpanic),
    ("no-reboot", no_reboot),
    ("kernel panic", panic),
    ("balloon, free page reporting", balloon),
    ("dry runs", dry_runs),
    ("two initrds", two_initrds),
    ("virtio mmio", mmio),
    ("input before its time", typed_ahead),
]
LONG = [
    ("decompression by the guest", packed),
    ("vmlinux by PVH", vmlinux),
    ("virtio console", console),
    ("rng", rng),
    ("5 GiB", high_memory),
]


def main():
    names = [a for a in sys.argv[1:] if a != "--all"]
    if names:
        return run_tests([t for t in SHORT + LONG if any(n in t[0] for n in names)])
    return run_tests(SHORT + LONG if "--all" in sys.argv else SHORT)


if __name__ == "__main__":
    sys.exit(main())

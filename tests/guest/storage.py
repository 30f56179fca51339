#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks on the PC's controllers: Debian's drivers write, sync, read back and discard, and the image holds the same on the
host's side; firmware boots from them.

    tests/guest/storage.py              the short selection of ./check
    tests/guest/storage.py --all        everything
    tests/guest/storage.py NAME...      those whose name contains one of these
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from control import Qmp
from linux import BOOT_S, PROMPT, SHELL, check, ends_well
from machine import run_tests
from pc import modules, pc, rescue

MIB = 1 << 20
TROUBLE = re.compile(r"I/O error|timeout|resetting|exception|(ata|nvme|scsi)\S*.*(failed|error|abort)", re.I)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def pattern(path, size):
    """An image that is another one in each block."""
    with open(path, "wb") as f:
        for n in range(size // MIB):
            f.write(b"".join(b"%015d\n" % (n * 2048 + s) * 32 for s in range(2048)))


def shell(m):
    m.expect(SHELL, BOOT_S)
    m.expect(PROMPT, 60)


def on_host(path, offset, length):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


def raw_disk(m, device, image, discard=True):
    """Reads what the host put there, writes, syncs, reads back past the cache, discards."""
    out, status = m.run(f"dd if={device} bs=1M count=4 2>/dev/null | sha256sum", 120)
    check(status == 0 and sha(on_host(image, 0, 4 * MIB)) in out, f"{device} reads otherwise than its image:\n{out}")
    out, status = m.run(f"dd if=/dev/urandom of=/tmp/r bs=1M count=8 2>/dev/null; dd if=/tmp/r of={device} bs=1M seek=8 2>/dev/null && sync && "
                        f"echo 3 > /proc/sys/vm/drop_caches && dd if={device} bs=1M skip=8 count=8 2>/dev/null | sha256sum && sha256sum < /tmp/r", 120)
    sums = re.findall(r"[0-9a-f]{64}", out)
    check(status == 0 and len(sums) == 2 and sums[0] == sums[1], f"{device} does not keep what it gets:\n{out}")
    check(sha(on_host(image, 8 * MIB, 8 * MIB)) == sums[1], f"what was synced to {device} is not in its image")
    if discard:
        out, status = m.run(f"blkdiscard -o {32 * MIB} -l {4 * MIB} {device}; echo st''atus $?; sync", 60)
        check("status 0" in out, f"{device} does not discard:\n{out}")
        check(on_host(image, 32 * MIB, 4 * MIB) == bytes(4 * MIB), "what was discarded is still in the image")
        check(on_host(image, 31 * MIB, MIB) != bytes(MIB) and on_host(image, 36 * MIB, MIB) != bytes(MIB), "more than that was discarded")


def file_system(m, device):
    """A file system on it, from several writers at once."""
    out, _ = m.run(f"mkdir -p /disk; mke2fs -q {device} >/dev/null && mount -t ext2 {device} /disk && "
                   "(for n in 1 2 3 4; do dd if=/dev/urandom of=/disk/r$n bs=64k count=60 2>/dev/null & done; wait) && "
                   f"sync && sha256sum /disk/r? > /tmp/sums && umount /disk && mount -t ext2 {device} /disk && "
                   "sha256sum -c /tmp/sums >/dev/null && umount /disk && echo all we''ll", 240)
    check("all well" in out, f"the file system on {device} does not keep what it gets:\n{out}")


def no_trouble(m):
    log, _ = m.run("dmesg", 60)
    trouble = [l for l in log.splitlines() if TROUBLE.search(l) and "ACPI" not in l and "EDD" not in l]
    check(not trouble, "the driver had trouble:\n" + "\n".join(trouble))


def fsck(image):
    done = subprocess.run(["e2fsck", "-fn", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    check(done.returncode == 0, "e2fsck: " + done.stdout.decode("utf-8", "replace"))


def power_off(m):
    m.send("poweroff -f\n")
    ends_well(m)


def load(m, count):
    """Loads the modules; gives the disks that came, once there are so many of them."""
    out, _ = m.run("mkdir -p /tmp; for f in /m/*.ko; do insmod $f 2>/dev/null; done; for n in 1 2 3 4 5 6 7 8; do sleep 1; "
                   f"test $(ls -d /sys/block/nvme* /sys/block/sd* /sys/block/sr* 2>/dev/null | wc -l) -ge {count} && break; done; ls /sys/block", 120)
    return out.split()


def nvme(cpus=1):
    """Two NVMe disks under Linux's driver."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            iso = rescue(d, "amd64", modules(d, "amd64", "nvme", "ext4"))
            first, second = os.path.join(d, "first.raw"), os.path.join(d, "second.raw")
            pattern(first, 64 * MIB)
            pattern(second, 40 * MIB)
            with pc("--disk", iso + ",readonly", "--disk", first + ",bus=nvme", "--disk", second + ",bus=nvme", "--cpus", str(cpus)) as m:
                shell(m)
                disks = load(m, 2)
                check("nvme0n1" in disks and "nvme1n1" in disks, f"not all disks were found: {disks}")
                out, _ = m.run("cat /sys/block/nvme?n1/size /sys/class/nvme/nvme?/model; grep -c nvme /proc/interrupts", 60)
                check({"131072", "81920"} <= set(out.split()) and "PANAL NVMe" in out, "the disks are not what they should be:\n" + out)
                disk = "/dev/nvme0n1" if out.split()[0] == "131072" else "/dev/nvme1n1"
                raw_disk(m, disk, first)
                file_system(m, "/dev/nvme0n1" if disk.endswith("1n1") else "/dev/nvme1n1")
                no_trouble(m)
                power_off(m)
            fsck(second)
    return test


def ide(cpus=1):
    """A disk and a CD on each channel of the IDE controller under Linux's driver."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            iso = rescue(d, "amd64", modules(d, "amd64", "ata_piix", "sd_mod", "sr_mod", "ext4"))
            first, second = os.path.join(d, "first.raw"), os.path.join(d, "second.raw")
            pattern(first, 64 * MIB)
            pattern(second, 40 * MIB)
            with pc("--disk", first + ",bus=ide", "--disk", iso + ",bus=ide,cdrom", "--disk", second + ",bus=ide", "--disk", "none,bus=ide,cdrom",
                    "--cpus", str(cpus)) as m:
                shell(m)
                disks = load(m, 4)
                check({"sda", "sdb", "sr0", "sr1"} <= set(disks), f"not all drives were found: {disks}")
                log, _ = m.run("dmesg | grep -i ata", 60)
                check("PATA max MWDMA2" in log and "PANAL DVD-ROM" in log, "the drives are not what they should be:\n" + log)
                raw_disk(m, "/dev/sda", first, discard=False)
                file_system(m, "/dev/sdb")
                with open(iso, "rb") as f:
                    out, status = m.run("sha256sum < /dev/sr0", 120)
                    check(status == 0 and sha(f.read()) in out, "the CD reads otherwise than its image:\n" + out)
                no_trouble(m)
                power_off(m)
            fsck(second)
    return test


def scsi(cpus=1):
    """Disks and CDs on the virtio SCSI controller under Linux's driver."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            iso = rescue(d, "amd64", modules(d, "amd64", "virtio_pci", "virtio_scsi", "sd_mod", "sr_mod", "ext4"))
            first, second = os.path.join(d, "first.raw"), os.path.join(d, "second.raw")
            pattern(first, 64 * MIB)
            pattern(second, 40 * MIB)
            with pc("--disk", iso + ",readonly,bootindex=1", "--disk", first + ",bus=scsi", "--disk", iso + ",bus=scsi,cdrom", "--disk", second + ",bus=scsi", "--disk", "none,bus=scsi,cdrom",
                    "--cpus", str(cpus)) as m:
                shell(m)
                disks = load(m, 4)
                check({"sda", "sdb", "sr0", "sr1"} <= set(disks), f"not all drives were found: {disks}")
                # Linux names the disks in the order in which it is done with them.
                out, _ = m.run("cat /sys/block/sda/size", 60)
                large, small = ("/dev/sda", "/dev/sdb") if out.split()[0] == "131072" else ("/dev/sdb", "/dev/sda")
                raw_disk(m, large, first)
                file_system(m, small)
                with open(iso, "rb") as f:
                    out, status = m.run("sha256sum < /dev/sr0", 120)
                    check(status == 0 and sha(f.read()) in out, "the CD reads otherwise than its image:\n" + out)
                no_trouble(m)
                power_off(m)
            fsck(second)
    return test


KIB = 1 << 10
FLOPPY_CONFIG = """serial --unit=0 --speed=115200
terminal_output serial
insmod fat
echo from $root
cat (fd0)/words.txt
halt
"""


def pattern_floppy(path, kib):
    with open(path, "wb") as f:
        f.write(b"".join(b"%015d\n" % n * 32 for n in range(2 * kib)))


def grub_floppy(d):
    """A FAT floppy whose boot sector is GRUB's, with its core in the reserved sectors."""
    image, core, config = (os.path.join(d, n) for n in ("grub.img", "core.img", "early.cfg"))
    with open(config, "w", encoding="ascii") as f:
        f.write(FLOPPY_CONFIG)
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(fd0)/", "-c", config, "-o", core, "biosdisk", "fat", "serial", "terminal", "echo",
                    "cat", "halt"], check=True)
    with open(core, "rb") as f:
        core = f.read()
    core += bytes(-len(core) % 512)
    with open(image, "wb") as f:
        f.truncate(1440 * KIB)
    subprocess.run(["mformat", "-i", image, "-f", "1440", "-R", str(1 + len(core) // 512), "::"], check=True)
    words = os.path.join(d, "words.txt")
    with open(words, "w", encoding="ascii") as f:
        f.write("words of a floppy\n")
    subprocess.run(["mcopy", "-i", image, words, "::"], check=True)
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as f:
        boot = bytearray(f.read())
    with open(image, "r+b") as f:
        boot[3:0x3e] = f.read(512)[3:0x3e]
        f.seek(0)
        f.write(boot + core)
    return image


def floppy_boot():
    """SeaBIOS boots a FAT floppy; an order puts it before a disk."""
    with tempfile.TemporaryDirectory() as d:
        disk = os.path.join(d, "disk.raw")
        with open(disk, "wb") as f:
            f.truncate(MIB)
        with pc("--floppy", grub_floppy(d) + ",readonly", "--disk", disk, "--boot-order", "floppy,disk", memory="128M") as m:
            m.expect(r"Booting from Floppy", 60)
            m.expect(r"from fd0", 120)
            m.expect(r"words of a floppy", 60)
            ends_well(m)


def floppy():
    """Two floppy drives under Linux's driver, and a change of disks."""
    with tempfile.TemporaryDirectory() as d:
        iso = rescue(d, "amd64", modules(d, "amd64", "floppy", "ext4"))
        control = os.path.join(d, "control")
        a, b, c = (os.path.join(d, n) for n in "abc")
        pattern_floppy(a, 1440)
        pattern_floppy(b, 1200)
        pattern_floppy(c, 720)
        with pc("--floppy", a, "--floppy", b + ",readonly,id=second", "--disk", iso + ",readonly", "--boot-order", "disk", "--control", control,
                "--no-sandbox") as m:
            q = Qmp(control)
            q.execute("qmp_capabilities")
            shell(m)
            out, _ = m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 3; dmesg | grep -i -e floppy -e fd0", 120)
            check("fd0 is 1.44M" in out and "fd1 is 1.2M" in out and "FDC 0 is a post-1991 82077" in out, "the drives are not what they should be:\n" + out)
            out, status = m.run("sha256sum < /dev/fd0; sha256sum < /dev/fd1", 240)
            check(status == 0 and sha(on_host(a, 0, 1440 * KIB)) in out and sha(on_host(b, 0, 1200 * KIB)) in out, "they read otherwise than their images:\n" + out)
            out, _ = m.run("echo x 2>&1 > /dev/fd1; mkdir -p /disk; mke2fs -q /dev/fd0 >/dev/null && mount -t ext2 /dev/fd0 /disk && "
                           "dd if=/dev/urandom of=/disk/r bs=1k count=900 2>/dev/null && sha256sum /disk/r > /tmp/sum && umount /disk && "
                           "echo 3 > /proc/sys/vm/drop_caches && mount -t ext2 /dev/fd0 /disk && sha256sum -c /tmp/sum && umount /disk; echo st''atus $?", 600)
            check("status 0" in out and "Read-only" in out, "the disk does not keep what it gets, or the notch is no hindrance:\n" + out)
            check(q.execute("blockdev-change-medium", id="disk0", filename=c)["return"] == {}, "the disk was not changed")
            out, _ = m.run("sha256sum < /dev/fd0", 240)
            check(sha(on_host(c, 0, 720 * KIB)) in out, "the new disk reads otherwise than its image:\n" + out)
            check("error" in q.execute("blockdev-change-medium", id="disk0", filename=b), "a drive for 1.44M took a disk of 1.2M")
            power_off(m)
        fsck(a)
        check(on_host(b, 0, 512) == b"%015d\n" % 0 * 32, "the disk with its notch open was written")


def boots(firmware, *args):
    """Firmware, GRUB and Debian's kernel from the one disk that there is."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            iso = rescue(d, "cloud-amd64")
            with pc("--firmware", firmware, *(a.replace("ISO", iso) for a in args)) as m:
                shell(m)
                power_off(m)
    return test


SHORT = [("nvme", nvme()), ("ide", ide()), ("scsi", scsi()), ("floppy boot", floppy_boot), ("floppy linux", floppy)]
LONG = [
    ("scsi 2 cpus", scsi(2)),
    ("scsi boot bios", boots("bios", "--disk", "ISO,bus=scsi,readonly")),
    ("scsi boot cd", boots("bios", "--disk", "ISO,bus=scsi,cdrom")),
    ("scsi boot uefi", boots("uefi", "--disk", "ISO,bus=scsi,readonly")),
    ("ide 2 cpus", ide(2)),
    ("ide boot disk", boots("bios", "--disk", "ISO,bus=ide,readonly")),
    ("ide boot cd", boots("bios", "--disk", "ISO,bus=ide,cdrom")),
    ("nvme 2 cpus", nvme(2)),
    ("nvme boot bios", boots("bios", "--disk", "ISO,bus=nvme,readonly")),
    ("nvme boot uefi", boots("uefi", "--disk", "ISO,bus=nvme,readonly")),
]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

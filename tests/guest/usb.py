#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""USB as Debian's drivers see it: the xHCI controller, keyboard and tablet, storage, hub; and SeaBIOS's keyboard driver.

    tests/guest/usb.py             the short selection of ./check
    tests/guest/usb.py --all       everything
    tests/guest/usb.py NAME...     those whose name contains one of these
"""

import contextlib
import os
import subprocess
import sys
import tempfile

from linux import BOOT_S, PROMPT, SHELL, boot, check, ends_well
from machine import Machine, run_tests
from pc import modules, rescue
from screen import Screen

LIST = "for d in /sys/bus/usb/devices/*/idVendor; do d=${d%/*}; echo ${d##*/} $(cat $d/speed) $(cat $d/product); done"


@contextlib.contextmanager
def usb(*args, drivers=()):
    """Debian's kernel to a shell, with these drivers besides the controller's."""
    with tempfile.TemporaryDirectory() as d:
        more, control = os.path.join(d, "more.img"), os.path.join(d, "control")
        with open(more, "wb") as f:
            f.write(modules(d, "amd64", "xhci_pci", *drivers))
        with boot("amd64", "--initrd", more, "--control", control, *args) as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 3", 120)
            yield m, Screen(control, d)
            out, _ = m.run("dmesg | grep -i -E 'xhci.*(error|warn|fail|died)|usb.*(error|fail|unable|not accepting)'", 60)
            check(not out.strip(), "the drivers had trouble:\n" + out)
            m.send("poweroff -f\n")
            ends_well(m)


def listed(m, *lines):
    out, _ = m.run(LIST, 60)
    for line in lines:
        check(line in out, f"there is no {line!r}:\n{out}")


def arrives(m, s, name, event, *seen):
    """The event, said on the control socket, comes out of the input device of this name."""
    m.send(f"e=$(grep -A5 'Name=.*{name}' /proc/bus/input/devices | grep -o 'event[0-9]*' | head -n 1); "
           "dd if=/dev/input/$e bs=24 count=4 2>/dev/null | od -An -v -tx1 -w24 & sleep 2; echo wai''ting\n")
    m.expect("waiting", 60)
    s.say("input-send-event", events=event)
    for line in seen:
        m.expect(line, 60)


def key(name, down):
    return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}}


def hid():
    """usbhid: a key and a position come where the USB devices are, not at virtio's."""
    with usb("--usb", "keyboard", "--usb", "tablet", "--usb", "mouse", "--input", "keyboard",
             drivers=("usbhid", "hid_generic", "evdev")) as (m, s):
        listed(m, "usb1 480 xHCI", "usb2 5000 xHCI", "1-1 480 Panal USB keyboard", "1-2 480 Panal USB tablet", "1-3 480 Panal USB mouse")
        # MSC_SCAN, then the key itself, then SYN
        arrives(m, s, "USB keyboard", [key("f5", True)], "01 00 3f 00 01 00 00 00")
        s.say("input-send-event", events=[key("f5", False)])
        arrives(m, s, "USB tablet", [{"type": "abs", "data": {"axis": "x", "value": 0x1234}}], "03 00 00 00 34 12 00 00")
        out, _ = m.run("grep -c xhci_hcd /proc/interrupts; grep xhci_hcd /proc/interrupts", 60)
        check("MSI" in out, "the controller's interrupts are not messages:\n" + out)


def bios_keyboard():
    """SeaBIOS's own driver: a key on the USB keyboard opens the boot menu, and chooses."""
    with tempfile.TemporaryDirectory() as d:
        disk, control, log = (os.path.join(d, n) for n in ("disk.raw", "control", "log"))
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        with Machine("--board", "pc", "--memory", "128M", "--boot-menu", "20", "--disk", disk, "--usb", "keyboard",
                     "--control", control, "--firmware-log", "file:" + log) as m:
            m.expect("Press ESC for boot menu", 60)
            s = Screen(control, d)
            s.keys("esc")
            m.expect(r"1\. Virtio disk", 60)
            s.keys("1")
            m.expect("Boot failed: not a bootable disk", 60)
            with open(log, encoding="ascii", errors="replace") as f:
                check("USB keyboard initialized" in f.read(), "SeaBIOS did not find the USB keyboard")


def storage():
    """usb-storage on a super speed port and on a high speed one: mounts, writes, and finds it after a second mount."""
    with tempfile.TemporaryDirectory() as d:
        first, second = os.path.join(d, "first.raw"), os.path.join(d, "second.raw")
        for path in (first, second):
            with open(path, "wb") as f:
                f.truncate(64 << 20)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", first], check=True)
        with open(second, "r+b") as f:
            f.write(b"read only" + b"." * 503)
        with usb("--disk", first + ",bus=usb", "--disk", second + ",bus=usb,readonly,port=4", drivers=("usb-storage", "sd_mod", "ext4")) as (m, _):
            listed(m, "2-1 5000 Panal USB disk", "2-4 5000 Panal USB disk")
            out, status = m.run("sleep 2; mkdir -p /mnt; mount -t ext4 /dev/sda /mnt && dd if=/dev/urandom of=/mnt/file bs=1M count=24 2>/dev/null && "
                                "md5sum /mnt/file && umount /mnt && echo 3 > /proc/sys/vm/drop_caches && mount -t ext4 /dev/sda /mnt && md5sum /mnt/file && umount /mnt", 240)
            sums = [line.split()[0] for line in out.splitlines() if "/mnt/file" in line]
            check(status == 0 and len(sums) == 2 and sums[0] == sums[1], f"the file is another one after a second mount (status {status}):\n{out}")
            out, _ = m.run("head -c 9 /dev/sdb; echo; cat /sys/block/sdb/ro /sys/block/sdb/size /sys/block/sdb/device/model", 60)
            check(out.split() == ["read", "only", "1", "131072", "DISK"], f"the second disk is {out.split()}")
        check(subprocess.run(["/sbin/e2fsck", "-fn", first], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0,
              "the file system is not clean afterwards")


def hub():
    """A hub behind a hub: a keyboard and a disk there work."""
    with tempfile.TemporaryDirectory() as d:
        disk = os.path.join(d, "disk.raw")
        with open(disk, "wb") as f:
            f.write(b"behind hubs" + b"." * (1 << 20))
        with usb("--usb", "hub,port=2", "--usb", "hub,port=2.3", "--usb", "keyboard,port=2.3.1", "--disk", disk + ",bus=usb,port=2.8",
                 drivers=("usbhid", "hid_generic", "evdev", "usb-storage", "sd_mod")) as (m, s):
            m.run("sleep 3", 60)
            listed(m, "1-2 480 Panal USB hub", "1-2.3 480 Panal USB hub", "1-2.3.1 480 Panal USB keyboard", "1-2.8 480 Panal USB disk")
            arrives(m, s, "USB keyboard", [key("f6", True)], "01 00 40 00 01 00 00 00")
            out, _ = m.run("head -c 11 /dev/sda", 60)
            check("behind hubs" in out, f"the disk holds {out!r}")


def boots(firmware):
    """A USB disk is booted by the firmware's own driver: GRUB, then Debian's kernel, which finds it again."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            more = modules(d, "amd64", "xhci_pci", "usb-storage", "sd_mod")
            image = rescue(d, "amd64", more)
            with Machine("--board", "pc", "--firmware", firmware, "--memory", "512M", "--disk", image + ",readonly,bus=usb") as m:
                m.expect(SHELL, 300)
                m.expect(PROMPT, 60)
                m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 4", 120)
                listed(m, "2-1 5000 Panal USB disk")
                out, _ = m.run("cat /sys/block/sda/ro /sys/block/sda/device/model", 60)
                check(out.split() == ["1", "DISK"], f"the disk is {out.split()}")
                m.send("poweroff -f\n")
                ends_well(m)
    return test


SHORT = [("hub", hub), ("storage", storage), ("bios keyboard", bios_keyboard)]
LONG = [("hid", hid), ("boot bios", boots("bios")), ("boot uefi", boots("uefi"))]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

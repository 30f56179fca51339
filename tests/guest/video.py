#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The PC's screen, keyboard and mouse: what firmware, loaders and kernels that nobody patched show, and what they take.

    tests/guest/video.py           the short selection of ./check
    tests/guest/video.py --all     everything
    tests/guest/video.py NAME...   those whose name contains one of these

With PANAL_PICTURES=FOLDER the pictures stay there.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time

from linux import PROMPT, SHELL, check, ends_well, kernel
from machine import PATIENCE, Machine, prepared, run_tests
from pc import BOOT_S, GRUB_S, loader, modules, package
from screen import Screen, vga_font

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@contextlib.contextmanager
def pc(*args, memory="512M", video="std"):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "control")
        with Machine("--board", "pc", "--memory", memory, "--video", video, "--control", path, *args) as m:
            yield m, Screen(path, d)


def boot_menu():
    """SeaBIOS's menu on the VGA's text screen, and a choice by the PS/2 keyboard."""
    with tempfile.TemporaryDirectory() as d:
        disk = os.path.join(d, "disk.raw")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        font = vga_font()
        with pc("--boot-menu", "20", "--disk", disk, memory="128M") as (_, s):
            s.expect("Press ESC for boot menu", 60, font)
            s.keys("esc")
            picture = s.expect("1. Virtio disk", 60, font, keep="seabios-menu")
            check((picture.width, picture.height) == (720, 400), f"the text screen is {picture.width}x{picture.height}")
            check(set(picture.colors()) == {BLACK, (170, 170, 170)}, f"the colours are {picture.colors()}")
            s.keys("1")
            s.expect("Boot failed: not a bootable disk", 60, font)


def uefi_shell(video):
    def test():
        """OVMF's shell in 1280x800, typed into with the PS/2 keyboard."""
        with pc("--firmware", "uefi", video=video) as (m, s):
            m.expect(r"Shell> ", 120)
            s.type("echo Hello Screen\n")
            m.expect(r"Hello Screen\s+Hello Screen|Hello Screen\W+\[", 60)
            picture = s.dump(keep=f"uefi-{video}")
            check((picture.width, picture.height) == (1280, 800), f"the screen is {picture.width}x{picture.height}")
            count = picture.colors()
            # EDK II's text colours (its graphics console): black, light grey, white, yellow.
            check(set(count) <= {BLACK, (0x98, 0x98, 0x98), WHITE, (0xff, 0xff, 0)} and len(count) == 4, f"the colours are {count}")
            check(count[BLACK] > 0.97 * 1280 * 800, "the screen is not mostly black")
    return test


# GRUB's own table of the 16 colours.
RED, GREEN, BLUE = (168, 0, 0), (0, 168, 0), (0, 0, 168)
GRAPHICS = """
insmod all_video
insmod gfxterm
loadfont /boot/grub/fonts/unicode.pf2
set gfxmode=800x600x32
set color_normal=white/blue
set menu_color_normal=yellow/red
set menu_color_highlight=black/green
terminal_output gfxterm
set timeout=600
"""


def grub(firmware, option="--disk", more=",readonly"):
    """GRUB's menu in a VBE mode, from a disk or a CD, in the colours that its configuration asks for; an arrow key moves the choice."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            image = loader(d, "true\n}\n" + GRAPHICS + 'menuentry "Second" {\ntrue')
            with pc("--firmware", firmware, option, image + more, memory="256M") as (_, s):
                deadline = time.monotonic() + GRUB_S * PATIENCE
                while True:
                    picture = s.dump(keep=f"grub-{firmware}")
                    count = picture.colors()
                    if (picture.width, picture.height) == (800, 600) and RED in count and GREEN in count:
                        break
                    check(time.monotonic() < deadline, f"no menu of 800x600 but {picture.width}x{picture.height}: {list(count)[:9]}")
                    time.sleep(0.5)
                time.sleep(1)
                picture = s.dump(keep=f"grub-{firmware}")
                count = picture.colors()
                check(set(count) <= {BLACK, RED, BLUE, GREEN, (254, 254, 84), (254, 254, 254)} and min(count[c] for c in (RED, BLUE, GREEN)) > 2000,
                      f"the colours are {count}")

                def choice():
                    shown = s.dump(keep=f"grub-{firmware}-moved")
                    return min(y for y in range(600) if GREEN in (shown.pixel(x, y) for x in range(0, 800, 50)))
                before = choice()
                s.keys("down")
                deadline = time.monotonic() + 10 * PATIENCE
                while choice() == before and time.monotonic() < deadline:
                    time.sleep(0.5)
                check(before < choice() <= before + 20, "the arrow key does not move the choice by a line")
    return test


def fbcon(video):
    """Linux's bochs driver: the console on a frame buffer, a key and the mouse through atkbd and psmouse."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            initrd = os.path.join(d, "initrd.img")
            shutil.copy(prepared("quick-amd64.img"), initrd)
            with open(initrd, "ab") as f:
                f.write(b"\0" * (-f.tell() % 4) + modules(d, "amd64", "bochs", "psmouse", "evdev"))
            image = loader(d, "linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.img", kernel("amd64"), initrd)
            with pc("--disk", image + ",readonly", video=video) as (m, s):
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 2", 120)
                out, _ = m.run("cat /proc/fb; dmesg | grep -i -e drm -e input:", 60)
                check("bochs-drm" in out, "the driver did not come up:\n" + out)
                check("AT Translated Set 2 keyboard" in out, "the keyboard is not there:\n" + out)
                check("ImExPS/2" in out, "the mouse with wheel is not there:\n" + out)
                m.run("printf '\\033[2J\\033[Hquick bench 123456789\\n\\033[44mon blue\\033[0m\\n' > /dev/tty1; sleep 1", 60)
                # letters that the kernel's font has as the VGA BIOS has them
                picture = s.expect("quick bench 123456789", 60, vga_font(), width=8, keep=f"linux-{video}")
                check((picture.width, picture.height) == (1024, 768), f"the screen is {picture.width}x{picture.height}")
                check(picture.pixel(1, 17) == (0, 0, 0xaa), f"blue is {picture.pixel(1, 17)}")
                m.send("dd if=/dev/input/mice bs=3 count=2 2>/dev/null | od -An -tx1 & sleep 1; echo wai''ting\n")
                m.expect("waiting", 60)
                s.say("input-send-event", events=[{"type": "rel", "data": {"axis": "x", "value": 7}}])
                s.say("input-send-event", events=[{"type": "btn", "data": {"button": "left", "down": True}}])
                m.expect(r" [01]8 07 00 [01]9 00 00", 60)
                out, _ = m.run("dmesg | grep -i -e 'i8042.*fail' -e 'bochs.*error' -e 'drm.*ERROR'", 60)
                check(not out.strip(), "the drivers had trouble:\n" + out)
                m.send("poweroff -f\n")
                ends_well(m)
    return test


def virtio_gpu():
    """Linux's virtio_gpu driver: the console on its screen, with the size that its EDID asks for."""
    with tempfile.TemporaryDirectory() as d:
        initrd = os.path.join(d, "initrd.img")
        shutil.copy(prepared("quick-amd64.img"), initrd)
        with open(initrd, "ab") as f:
            f.write(b"\0" * (-f.tell() % 4) + modules(d, "amd64", "virtio_pci", "virtio-gpu"))
        image = loader(d, "linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.img", kernel("amd64"), initrd)
        with pc("--disk", image + ",readonly", video="virtio") as (m, s):
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 2", 120)
            out, _ = m.run("cat /proc/fb; dmesg | grep -i -e drm; cat /sys/class/drm/card0-Virtual-1/status /sys/class/drm/card0-Virtual-1/modes", 60)
            check("virtio_gpu" in out and "connected" in out and "1280x800" in out, "the driver did not come up:\n" + out)
            out, _ = m.run("od -An -tx1 -N8 /sys/class/drm/card0-Virtual-1/edid", 60)
            check("00 ff ff ff ff ff ff 00" in out, "there is no EDID: " + out)
            m.run("printf '\\033[2J\\033[Hquick bench 123456789\\n\\033[44mon blue\\033[0m\\n' > /dev/tty1; sleep 1", 60)
            picture = s.expect("quick bench 123456789", 60, vga_font(), width=8, keep="linux-virtio")
            check((picture.width, picture.height) == (1280, 800), f"the screen is {picture.width}x{picture.height}")
            check(picture.pixel(1, 17) == (0, 0, 0xaa), f"blue is {picture.pixel(1, 17)}")
            out, _ = m.run("dmesg | grep -i -e 'virtio.gpu.*\\(error\\|fail\\)' -e 'drm.*ERROR'", 60)
            check(not out.strip(), "the driver had trouble:\n" + out)
            m.send("poweroff -f\n")
            ends_well(m)


def virtio_input():
    """Linux's virtio-input driver: keys and positions arrive there, and no longer at the PS/2 keyboard."""
    with tempfile.TemporaryDirectory() as d:
        initrd = os.path.join(d, "initrd.img")
        shutil.copy(prepared("quick-amd64.img"), initrd)
        with open(initrd, "ab") as f:
            f.write(b"\0" * (-f.tell() % 4) + modules(d, "amd64", "virtio_pci", "virtio_input", "evdev"))
        image = loader(d, "linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.img", kernel("amd64"), initrd)
        with pc("--disk", image + ",readonly", "--input", "keyboard", "--input", "tablet") as (m, s):
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 2", 120)
            out, _ = m.run("cat /proc/bus/input/devices", 60)
            check('Name="Panal keyboard"' in out and 'Name="Panal tablet"' in out, "the devices are not there:\n" + out)
            for name, say, seen in (
                ("keyboard", {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "f5"}}}, "01 00 3f 00 01 00 00 00"),
                ("tablet", {"type": "abs", "data": {"axis": "y", "value": 0x1234}}, "03 00 01 00 34 12 00 00"),
            ):
                m.send(f"e=$(grep -A5 'Panal {name}' /proc/bus/input/devices | grep -o 'event[0-9]*'); "
                       "dd if=/dev/input/$e bs=24 count=1 2>/dev/null | od -An -tx1 -j16 & sleep 2; echo wai''ting\n")
                m.expect("waiting", 60)
                s.say("input-send-event", events=[say])
                m.expect(seen, 60)
            m.send("poweroff -f\n")
            ends_well(m)


def memtest():
    """memtest86+ on the VGA's text screen."""
    with tempfile.TemporaryDirectory() as d:
        binary = package(d, "memtest86+", "boot/memtest86+x64.bin")
        image = loader(d, "linux /boot/memtest86+x64.bin", binary)
        with pc("--firmware", "bios", "--disk", image + ",readonly", memory="128M") as (_, s):
            font = vga_font()
            s.expect("Memtest86+", GRUB_S, font)
            picture = s.expect("Test #", 60, font, keep="memtest")
            check((0, 0, 170) in picture.colors(), f"there is no blue: {list(picture.colors())}")


SHORT = [("boot menu", boot_menu), ("uefi shell", uefi_shell("std"))]
LONG = [
    ("uefi bochs", uefi_shell("bochs")),
    ("grub bios", grub("bios")),
    ("grub uefi", grub("uefi")),
    ("grub cd bios", grub("bios", "--cdrom", "")),
    ("grub cd uefi", grub("uefi", "--cdrom", "")),
    ("linux", fbcon("std")),
    ("linux bochs", fbcon("bochs")),
    ("virtio input", virtio_input),
    ("virtio gpu", virtio_gpu),
    ("uefi virtio", uefi_shell("virtio")),
    ("memtest", memtest),
]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

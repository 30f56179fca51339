#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Further firmware, loaders and programs without a system that Debian's packages have, unchanged, on the PC board.

    tests/guest/systems.py              all of them
    tests/guest/systems.py NAME...      those whose name contains one of these
"""

import os
import shutil
import subprocess
import sys
import tempfile

from linux import PROMPT, SHELL, check, ends_well, kernel
from machine import Failure, prepared, run_tests
from screen import Screen, vga_font
from pc import BOOT_S, GRUB_S, loader, package, pc

FIRMWARE_S = 120


def make(command):
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        raise Failure(f"{command[0]}: " + made.stdout.decode("utf-8", "replace")[-400:])


def isolinux():
    """A CD as the older live systems are: ISOLINUX's prompt, a label typed there, Debian's kernel to its shell."""
    with tempfile.TemporaryDirectory() as d:
        tree = os.path.join(d, "tree")
        os.makedirs(os.path.join(tree, "isolinux"))
        shutil.copy(package(d, "isolinux", "usr/lib/ISOLINUX/isolinux.bin"), os.path.join(tree, "isolinux"))
        shutil.copy(package(d, "syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32"), os.path.join(tree, "isolinux"))
        shutil.copy(kernel("cloud-amd64"), os.path.join(tree, "vmlinuz"))
        shutil.copy(prepared("quick-cloud-amd64.img"), os.path.join(tree, "initrd.img"))
        with open(os.path.join(tree, "isolinux/isolinux.cfg"), "w", encoding="ascii") as f:
            f.write("SERIAL 0 115200\nPROMPT 1\nTIMEOUT 0\nSAY Panal live\nLABEL debian\n  KERNEL /vmlinuz\n  APPEND initrd=/initrd.img console=ttyS0\n")
        image = os.path.join(d, "live.iso")
        make(["xorriso", "-as", "mkisofs", "-o", image, "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
              "-boot-load-size", "4", "-boot-info-table", tree])
        with pc("--cdrom", image) as m:
            m.expect(r"ISOLINUX 6", FIRMWARE_S)
            m.expect(r"boot:", FIRMWARE_S)
            m.send("debian\r")
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.send("poweroff -f\n")
            ends_well(m)


def hdt():
    """Syslinux's hardware detection tool, from a CD: what it says of processor, memory and PCI."""
    with tempfile.TemporaryDirectory() as d:
        tree = os.path.join(d, "tree/isolinux")
        os.makedirs(tree)
        shutil.copy(package(d, "isolinux", "usr/lib/ISOLINUX/isolinux.bin"), tree)
        modules = package(d, "syslinux-common", "usr/lib/syslinux/modules/bios")
        for name in ("ldlinux", "hdt", "libcom32", "libmenu", "libutil", "libgpl"):
            shutil.copy(os.path.join(modules, name + ".c32"), tree)
        with open(os.path.join(tree, "isolinux.cfg"), "w", encoding="ascii") as f:
            f.write("SERIAL 0 115200\nDEFAULT hdt\nLABEL hdt\n  COM32 hdt.c32\n  APPEND nomenu\n")
        image = os.path.join(d, "hdt.iso")
        make(["xorriso", "-as", "mkisofs", "-o", image, "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot",
              "-boot-load-size", "4", "-boot-info-table", os.path.join(d, "tree")])
        with pc("--cdrom", image, "--cpu", "Nehalem", memory="256M") as m:
            m.expect(r"hdt>", FIRMWARE_S)
            m.send("show cpu\r")
            m.expect(r"Nehalem", FIRMWARE_S)
            m.send("show pci\r")
            m.expect(r"NB Devices +: \d", FIRMWARE_S)


def mach():
    """GNU Mach, a microkernel with a Multiboot header, to where it asks for its first server, which Debian has for the Hurd alone."""
    with tempfile.TemporaryDirectory() as d:
        binary = package(d, "gnumach-image-1.8-486", "boot/gnumach-1.8-486.gz")
        image = loader(d, "multiboot /boot/gnumach-1.8-486.gz console=com0", binary)
        with pc("--disk", image + ",readonly", memory="128M") as m:
            m.expect(r"GNU Mach 1\.8", GRUB_S)
            m.expect(r"vm_page: DMA32: pages: \d+ \(111M\)", 60)
            m.expect(r"No bootstrap code loaded with the kernel", 60)


def invaders():
    """GRUB Invaders, a game that is its own system: its invaders on the text screen."""
    with tempfile.TemporaryDirectory() as d:
        binary = package(d, "grub-invaders", "boot/invaders.exec")
        image = loader(d, "multiboot /boot/invaders.exec", binary)
        control = os.path.join(d, "control")
        with pc("--disk", image + ",readonly", "--video", "std", "--control", control, memory="128M"):
            s = Screen(control, d)
            s.expect("-*-           -*-", GRUB_S, vga_font(), keep="invaders")


def u_boot(which):
    """U-Boot's ROM for a PC: its command line, which finds the PCI devices."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            rom = package(d, "u-boot-qemu", f"usr/lib/u-boot/{which}/u-boot.rom")
            with pc("--firmware", rom, memory="256M") as m:
                m.expect(r"U-Boot 20\d\d\.\d\d", FIRMWARE_S)
                m.expect(r"Hit any key to stop autoboot|=> ", FIRMWARE_S)
                m.send(" ")
                m.expect(r"=> ", FIRMWARE_S)
                m.send("pci\r")
                m.expect(r"00\.1f\.0", FIRMWARE_S)
    return test


def refind():
    """rEFInd from a UEFI system partition's default place, in text mode: it finds the kernel beside it and starts it."""
    with tempfile.TemporaryDirectory() as d:
        manager = package(d, "refind", "usr/share/refind/refind/refind_x64.efi")
        disk = os.path.join(d, "esp.img")
        config = os.path.join(d, "refind.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write('timeout 1\ntextonly true\nscanfor manual\nmenuentry "Panal" {\n  loader /vmlinuz\n  initrd /initrd.img\n  options "console=ttyS0"\n}\n')
        with open(disk, "wb") as f:
            f.truncate(64 << 20)
        make(["mkfs.vfat", "-F", "32", disk])
        make(["mmd", "-i", disk, "::/EFI", "::/EFI/BOOT"])
        for source, name in ((manager, "EFI/BOOT/BOOTX64.EFI"), (config, "EFI/BOOT/refind.conf"), (kernel("cloud-amd64"), "vmlinuz"),
                             (prepared("quick-cloud-amd64.img"), "initrd.img")):
            make(["mcopy", "-i", disk, source, "::/" + name])
        with pc("--firmware", "uefi", "--disk", disk) as m:
            m.expect(r"rEFInd", FIRMWARE_S)
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            m.send("poweroff -f\n")
            ends_well(m)


def memtest_32():
    """memtest86+ in its 32-bit form passes its first tests without an error."""
    with tempfile.TemporaryDirectory() as d:
        binary = package(d, "memtest86+", "boot/memtest86+ia32.bin")
        image = loader(d, "linux16 /boot/memtest86+ia32.bin console=ttyS0,115200", binary)
        with pc("--disk", image + ",readonly", memory="128M") as m:
            m.expect(r"Memtest86\+", GRUB_S)
            m.expect(r"#5 ", 300)
            errors = m.expect(r"Errors: (\d+)", 60).group(1)
            check(errors == "0", f"{errors} errors")


ALL = [("isolinux", isolinux), ("u-boot 32", u_boot("qemu-x86")), ("u-boot 64", u_boot("qemu-x86_64")), ("refind", refind), ("hdt", hdt), ("mach", mach), ("invaders", invaders),
       ("memtest 32", memtest_32)]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    sys.exit(run_tests([t for t in ALL if not names or any(n in t[0] for n in names)]))

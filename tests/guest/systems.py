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
from machine import Failure, Machine, prepared, run_tests
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


def grub_rescue(*args):
    """GRUB's own rescue CD or floppy, as its package has it: its command line finds the drive that it came from."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            folder = package(d, "grub-rescue-pc", "usr/lib/grub-rescue")
            with pc(*(a.replace("RESCUE", folder + "/grub-rescue") for a in args), memory="256M") as m:
                m.expect(r"GNU GRUB +version 2\.06", GRUB_S)
                m.expect(r"command-line", 60)
                m.send("c")  # out of its menu, which would boot the first disk
                m.expect(r"grub> ", 60)
                m.send("ls\r")
                m.expect(r"\((cd|hd0|fd0)\)", 60)
    return test


def pxelinux():
    """PXELINUX by iPXE's TFTP, whose services it then uses to fetch its module, its configuration, kernel and ramdisk."""
    with tempfile.TemporaryDirectory() as d:
        tree = os.path.join(d, "tftp")
        os.makedirs(os.path.join(tree, "pxelinux.cfg"))
        shutil.copy(package(d, "pxelinux", "usr/lib/PXELINUX/pxelinux.0"), tree)
        shutil.copy(package(d, "syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32"), tree)
        shutil.copy(kernel("cloud-amd64"), os.path.join(tree, "vmlinuz"))
        shutil.copy(prepared("quick-cloud-amd64.img"), os.path.join(tree, "initrd.img"))
        with open(os.path.join(tree, "pxelinux.cfg/default"), "w", encoding="ascii") as f:
            f.write("SERIAL 0 115200\nDEFAULT debian\nLABEL debian\n  KERNEL vmlinuz\n  APPEND initrd=initrd.img console=ttyS0\n")
        # the helper reads it with nobody's rights when it is started by root
        os.chmod(d, 0o755)
        with pc("--net", f"user,model=e1000,tftp={tree},bootfile=pxelinux.0") as m:
            m.expect(r"PXELINUX 6", FIRMWARE_S)
            off_from_shell(m)


def off_from_shell(m):
    m.expect(SHELL, BOOT_S)
    m.expect(PROMPT, 60)
    m.send("poweroff -f\n")
    ends_well(m)


def esp(directory, folders, files):
    """A disk that is one FAT file system; Debian's kernel and ramdisk are on it too."""
    disk = os.path.join(directory, "esp.img")
    with open(disk, "wb") as f:
        f.truncate(64 << 20)
    make(["mkfs.vfat", "-F", "32", disk])
    make(["mmd", "-i", disk, "::/EFI", "::/EFI/BOOT", *("::/" + name for name in folders)])
    for name, source in {"vmlinuz": kernel("cloud-amd64"), "initrd.img": prepared("quick-cloud-amd64.img"), **files}.items():
        if not os.path.exists(source):
            path = os.path.join(directory, "text")
            with open(path, "w", encoding="ascii") as f:
                f.write(source)
            source = path
        make(["mcopy", "-i", disk, source, "::/" + name])
    return disk


def systemd_boot():
    """systemd-boot's menu and its entry by UEFI; then the same entry with nothing between the disk and us."""
    with tempfile.TemporaryDirectory() as d:
        disk = esp(d, ["loader", "loader/entries"], {
            "EFI/BOOT/BOOTX64.EFI": package(d, "systemd-boot-efi", "usr/lib/systemd/boot/efi/systemd-bootx64.efi"), "loader/loader.conf": "timeout 5\n",
            "loader/entries/debian.conf": "title Debian by systemd-boot\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=ttyS0\n"})
        with pc("--firmware", "uefi", "--disk", disk) as m:
            m.expect(r"Debian by systemd-boot", FIRMWARE_S)
            off_from_shell(m)
        with Machine("--boot-from-disk", "--disk", disk, "--memory", "512M") as m:
            off_from_shell(m)


def shim():
    """shim and GRUB as Debian signs them, the way from firmware to kernel of its installations on UEFI."""
    with tempfile.TemporaryDirectory() as d:
        disk = esp(d, ["EFI/debian"], {
            "EFI/BOOT/BOOTX64.EFI": package(d, "shim-signed", "usr/lib/shim/shimx64.efi.signed"),
            "EFI/BOOT/grubx64.efi": package(d, "grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
            "EFI/debian/grub.cfg": "set timeout=1\nmenuentry Debian {\nlinux /vmlinuz console=ttyS0\ninitrd /initrd.img\n}\n"})
        with pc("--firmware", "uefi", "--disk", disk) as m:
            m.expect(r"GNU GRUB +version 2\.06", FIRMWARE_S)
            off_from_shell(m)


def refind():
    """rEFInd from a UEFI system partition's default place, in text mode: it finds the kernel beside it and starts it."""
    with tempfile.TemporaryDirectory() as d:
        config = 'timeout 1\ntextonly true\nscanfor manual\nmenuentry "Panal" {\n  loader /vmlinuz\n  initrd /initrd.img\n  options "console=ttyS0"\n}\n'
        disk = esp(d, [], {"EFI/BOOT/BOOTX64.EFI": package(d, "refind", "usr/share/refind/refind/refind_x64.efi"), "EFI/BOOT/refind.conf": config})
        with pc("--firmware", "uefi", "--disk", disk) as m:
            m.expect(r"rEFInd", FIRMWARE_S)
            off_from_shell(m)


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


ALL = [("isolinux", isolinux), ("u-boot 32", u_boot("qemu-x86")), ("u-boot 64", u_boot("qemu-x86_64")), ("refind", refind), ("systemd-boot", systemd_boot), ("shim", shim), ("pxelinux", pxelinux),
       ("grub rescue cd", grub_rescue("--cdrom", "RESCUE-cdrom.iso")), ("grub rescue disk", grub_rescue("--disk", "RESCUE-cdrom.iso,readonly")), ("hdt", hdt), ("mach", mach), ("invaders", invaders),
       ("memtest 32", memtest_32)]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    sys.exit(run_tests([t for t in ALL if not names or any(n in t[0] for n in names)]))

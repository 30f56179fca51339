#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The PC board with firmware that nobody patched: SeaBIOS, its boot menu, GRUB from a disk, Debian's kernel under it.

    tests/guest/pc.py              the short selection of ./check
    tests/guest/pc.py --all        everything
    tests/guest/pc.py NAME...      those whose name contains one of these
"""

import base64
import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from linux import PROMPT, SHELL, archive, check, ends_well, kernel
from machine import BUILD, Failure, Machine, Skip, prepared, run_tests

GRUB_S, BOOT_S = 120, 300
GRUB_HEAD = """
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
"""


def modules(directory, flavour, *names):
    """An initial ramdisk with these modules and what they depend on, as /m/00-NAME.ko and so on in the order of loading."""
    with open(prepared(f"kernel-{flavour}/version"), encoding="ascii") as f:
        version = f.read().strip()
    tree = os.path.join(directory, "modules")
    os.makedirs(os.path.join(tree, "lib"))
    os.makedirs(os.path.join(tree, "m"))
    os.symlink(os.path.abspath(prepared(f"kernel-{flavour}/modules")), os.path.join(tree, "lib/modules"))
    listed = subprocess.run(["modprobe", "-d", tree, "-S", version, "--show-depends", "-a", *names], stdout=subprocess.PIPE, check=True)
    paths = dict.fromkeys(line.split()[1] for line in listed.stdout.decode().splitlines() if line.startswith("insmod "))
    for n, path in enumerate(paths):
        shutil.copy(path, os.path.join(tree, f"m/{n:02}-{os.path.basename(path)}"))
    files = "m\n" + "".join(f"m/{f}\n" for f in sorted(os.listdir(os.path.join(tree, "m"))))
    made = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=files.encode(), stdout=subprocess.PIPE, check=True)
    return made.stdout


def loader(directory, entry, *files):
    """A hybrid image with GRUB, that boots from a disk and from a CD, by BIOS and by UEFI: this one entry, these files in /boot."""
    tree = os.path.join(directory, "tree")
    os.makedirs(os.path.join(tree, "boot/grub"))
    for f in files:
        shutil.copy(f, os.path.join(tree, "boot"))
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w", encoding="utf-8") as f:
        f.write(GRUB_HEAD + 'menuentry "Panal rescue" {\n' + entry + "\n}\n")
    image = os.path.join(directory, "rescue.iso")
    made = subprocess.run(["grub-mkrescue", "-o", image, tree], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        raise Failure("grub-mkrescue: " + made.stdout.decode("utf-8", "replace"))
    return image


def rescue(directory, flavour, more=b""):
    """An image whose GRUB boots Debian's kernel to a shell. more is joined to the initrd."""
    initrd = os.path.join(directory, "initrd.img")
    shutil.copy(prepared(f"quick-{flavour}.img"), initrd)
    with open(initrd, "ab") as f:
        f.write(b"\0" * (-f.tell() % 4) + more)
    return loader(directory, "linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.img", kernel(flavour), initrd)


def package(directory, name, path):
    """A file out of a Debian package, which is not installed."""
    got = subprocess.run(["apt-get", "-q", "download", name], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    debs = [f for f in os.listdir(directory) if f.startswith(name + "_")]
    if got.returncode or not debs:
        raise Skip(f"the package {name} cannot be had: {got.stdout.decode('utf-8', 'replace').strip()[-200:]}")
    tree = os.path.join(directory, "package")
    subprocess.run(["dpkg-deb", "-x", os.path.join(directory, debs[0]), tree], check=True)
    return os.path.join(tree, path)


def pc(*args, memory="512M", accel="soft"):
    return Machine("--board", "pc", "--memory", memory, *args, accel=accel)


def boot_menu():
    """SeaBIOS shows its menu on the serial port, lists the disk, and boots what is chosen there."""
    with tempfile.TemporaryDirectory() as d:
        disk = os.path.join(d, "disk.raw")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        with pc("--boot-menu", "3", "--disk", disk) as m:
            m.expect(r"SeaBIOS \(version", 60)
            m.expect(r"Press ESC for boot menu", 60)
            m.send("\x1b")
            m.expect(r"Select boot device:", 60)
            m.expect(r"1\. Virtio disk", 60)
            m.send("1")
            m.expect(r"Booting from Hard Disk", 60)
            m.expect(r"not a bootable disk", 60)


def rescue_shell(flavour="cloud-amd64", cpus=1, memory="512M", firmware="bios"):
    def test():
        with tempfile.TemporaryDirectory() as d:
            with pc("--disk", rescue(d, flavour) + ",readonly", "--cpus", str(cpus), "--firmware", firmware, memory=memory) as m:
                m.expect(r"Panal rescue", GRUB_S)
                m.expect(r"DMI:|ACPI: RSDP", BOOT_S)
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                log, _ = m.run("dmesg", 120)
                trouble = [l for l in log.splitlines() if re.search(r"ACPI (BIOS )?(Error|Warning|Exception)|\[Firmware Bug\]", l)]
                check(not trouble, "the kernel complains of the firmware's tables:\n" + "\n".join(trouble))
                check(("efi: EFI v" in log) == (firmware == "uefi"), "booted by the wrong firmware")
                check("MMCONFIG" in log, "PCI Express configuration was not found")
                out, _ = m.run("grep -c ^processor /proc/cpuinfo", 60)
                check(out.split()[0] == str(cpus), f"the guest sees {out!r} processors, {cpus} given")
                m.send("poweroff -f\n")
                ends_well(m)
    return test


def reboot():
    """A reboot goes through the firmware again."""
    with tempfile.TemporaryDirectory() as d:
        with pc("--disk", rescue(d, "cloud-amd64") + ",readonly") as m:
            for end in ("reboot -f\n", "poweroff -f\n"):
                m.expect(r"SeaBIOS \(version", 120)
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                m.send(end)
            ends_well(m)


def uefi_shell(m):
    m.expect(r"UEFI Interactive Shell", 120)
    m.expect(r"Shell> ", 60)


def rom():
    """What the guest stores to its firmware's ROM is not there afterwards."""
    with pc("--firmware", "uefi") as m:
        uefi_shell(m)
        m.send("mm fffffff0 5a -w 1 -MEM -n\r")
        m.expect(r"Shell> ", 60)
        m.send("mm fffffff0 -w 1 -MEM -n\r")
        value = m.expect(r"0x[0F]*FFFFFFF0\D+0x([0-9A-F]{2})", 60).group(1)
        check(value != "5A", "a store changed the ROM")


def uefi_variables():
    """A variable that the UEFI shell sets is there after power-off and start, in the machine's own store only."""
    with tempfile.TemporaryDirectory() as d:
        store = os.path.join(d, "vars.fd")
        with pc("--firmware", "uefi", "--firmware-vars", store) as m:
            uefi_shell(m)
            m.send("set colour violet\r")
            m.expect(r"Shell> ", 60)
            m.send("reset -s\r")
            ends_well(m)
        with pc("--firmware", "uefi", "--firmware-vars", store) as m:
            uefi_shell(m)
            m.send("set colour\r")
            m.expect(r"colour.*= ?.*violet", 60)
            again = subprocess.run([os.path.join(BUILD, "panal-vmm"), "--firmware", "uefi", "--firmware-vars", store],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
            check(again.returncode == 1 and b"in use by another machine" in again.stdout, again.stdout.decode("utf-8", "replace"))
        with pc("--firmware", "uefi") as m:
            uefi_shell(m)
            m.send("set colour\r")
            m.expect(r"not found|not defined", 60)


def memtest(firmware, name):
    """memtest86+ passes its first tests without an error."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            binary = package(d, "memtest86+", f"boot/{name}")
            image = loader(d, f"linux /boot/{name} console=ttyS0,115200", binary)
            with pc("--firmware", firmware, "--disk", image + ",readonly", memory="128M") as m:
                m.expect(r"Memtest86\+", GRUB_S)
                m.expect(r"#5 ", 300)
                errors = m.expect(r"Errors: (\d+)", 60).group(1)
                check(errors == "0", f"{errors} errors")
    return test


def xen():
    """Xen with Debian's kernel as its first domain, to a program there and the power off."""
    with tempfile.TemporaryDirectory() as d:
        hypervisor = package(d, "xen-hypervisor-4.17-amd64", "boot/xen-4.17-amd64.gz")
        entry = ("multiboot2 /boot/xen-4.17-amd64.gz com1=115200,8n1 console=com1 dom0_mem=300M\n"
                 "module2 /boot/vmlinuz console=hvc0 panal.run=/bin/uname\nmodule2 /boot/quick-amd64.img")
        image = loader(d, entry, hypervisor, kernel("amd64"), prepared("quick-amd64.img"))
        with pc("--disk", image + ",readonly", memory="1G") as m:
            m.expect(r"\(XEN\).*Xen version 4\.17|Xen 4\.17", GRUB_S)
            m.expect(r"panal-guest: /bin/uname ended with status 0", BOOT_S)
            ends_well(m, 120)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.fetched.append(self.path)
        super().do_GET()


def ipxe():
    """iPXE configures the network card by DHCP, fetches a kernel and its initrd over HTTP and boots them."""
    with tempfile.TemporaryDirectory() as d:
        binary = package(d, "ipxe", "usr/lib/ipxe/ipxe.lkrn")
        served = os.path.join(d, "served")
        os.makedirs(served)
        shutil.copy(kernel("cloud-amd64"), os.path.join(served, "vmlinuz"))
        shutil.copy(prepared("quick-cloud-amd64.img"), os.path.join(served, "initrd.img"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
        server.fetched = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = os.path.join(d, "boot.ipxe")
        with open(script, "w", encoding="ascii") as f:
            url = f"http://10.0.2.2:{server.server_port}"
            f.write(f"#!ipxe\ndhcp\nkernel {url}/vmlinuz console=ttyS0 initrd=initrd.img panal.run=/bin/uname\n"
                    f"initrd {url}/initrd.img\nboot\n")
        image = loader(d, "linux16 /boot/ipxe.lkrn\ninitrd16 /boot/boot.ipxe", binary, script)
        try:
            with pc("--net", "user", "--disk", image + ",readonly") as m:
                m.expect(r"iPXE", GRUB_S)
                m.expect(r"panal-guest: /bin/uname ended with status 0", BOOT_S)
                ends_well(m)
            check(set(server.fetched) >= {"/vmlinuz", "/initrd.img"}, f"the server was asked for {server.fetched} only")
        finally:
            server.shutdown()


def smbios():
    """What the guest's SMBIOS tables say, read by dmidecode."""
    with tempfile.TemporaryDirectory() as d:
        with pc("--disk", rescue(d, "cloud-amd64") + ",readonly", "--cpus", "4,sockets=2,cores=2", memory="3G") as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run("cd /sys/firmware/dmi/tables; base64 smbios_entry_point; echo --; base64 DMI; cd /", 60)
            model, _ = m.run("grep -m1 'model name' /proc/cpuinfo", 60)
            check(status == 0 and "--" in out, "the guest's kernel found no SMBIOS:\n" + out)
            m.send("poweroff -f\n")
            ends_well(m)
        entry, tables = (bytearray(base64.b64decode(part)) for part in out.split("--"))
        # dmidecode's dumps have the tables at 32.
        entry[24:28] = (32).to_bytes(4, "little")
        entry[21] = -(sum(entry[16:31]) - entry[21]) & 255
        entry[4] = -(sum(entry) - entry[4]) & 255
        dump = os.path.join(d, "dmi.bin")
        with open(dump, "wb") as f:
            f.write(entry.ljust(32, b"\0") + tables)
        done = subprocess.run(["dmidecode", "--from-dump", dump], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode("utf-8", "replace")
        wanted = ["Manufacturer: Panal", "Version: " + model.split(":", 1)[1].strip(), "Voltage: 1.2 V", "Core Count: 2",
                  "Socket Designation: CPU 1", "Size: 3 GB", "Error Correction Type: Multi-bit ECC"]
        missing = [w for w in wanted if w not in text]
        check(done.returncode == 0 and not missing and not re.search(r"broken|invalid|TRUNCATED|out of spec", text, re.I),
              f"dmidecode does not say {missing}:\n{text}")


def sata(cpus=1):
    """Linux's AHCI driver: booted from a CD on SATA; a disk there gets a file system, which e2fsck finds good; NCQ, the
    CD's contents, a drive without a medium."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            iso = rescue(d, "amd64", modules(d, "amd64", "ahci", "sd_mod", "sr_mod", "isofs", "ext4"))
            disk = os.path.join(d, "disk.raw")
            with open(disk, "wb") as f:
                f.truncate(64 << 20)
            with pc("--cdrom", iso, "--disk", disk + ",bus=sata", "--cdrom", "none", "--cpus", str(cpus)) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, status = m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 2; cat /proc/partitions", 120)
                check("sda" in out and "sr0" in out and "sr1" in out, "not all drives were found:\n" + out)
                log, _ = m.run("dmesg | grep -i ata", 60)
                check("NCQ (depth 32)" in log and "PANAL DVD-ROM" in log, "the drives are not what they should be:\n" + log)
                out, status = m.run("mkdir /cd /disk; mount -t iso9660 -o ro /dev/sr0 /cd && cmp /cd/boot/vmlinuz /cd/boot/vmlinuz && "
                                    "sha256sum < /cd/boot/vmlinuz", 120)
                with open(os.path.join(d, "tree/boot/vmlinuz"), "rb") as f:
                    check(status == 0 and hashlib.sha256(f.read()).hexdigest() in out, "the CD reads otherwise than it is:\n" + out)
                out, status = m.run("mke2fs -q /dev/sda >/dev/null && mount -t ext2 /dev/sda /disk && cp /cd/boot/vmlinuz /disk/ && "
                                    "(for n in 1 2 3 4; do dd if=/dev/urandom of=/disk/r$n bs=64k count=100 2>/dev/null & done; wait) && "
                                    "sync && sha256sum /disk/r? /disk/vmlinuz > /tmp/sums && umount /disk && mount -t ext2 /dev/sda /disk && "
                                    "sha256sum -c /tmp/sums >/dev/null && umount /disk && echo all we''ll", 240)
                check("all well" in out, "the disk does not keep what it gets:\n" + out)
                out, status = m.run("umount /cd; dd if=/dev/sr1 of=/dev/null count=4", 60)
                check("No medium" in out, "the empty drive is not empty:\n" + out)
                log, _ = m.run("dmesg", 60)
                trouble = [l for l in log.splitlines() if re.search(r"ata\d.*(exception|failed|error|timeout|reset)|I/O error", l)
                           and "dev sr" not in l and "limiting" not in l]
                check(not trouble, "the driver had trouble:\n" + "\n".join(trouble))
                m.send("poweroff -f\n")
                ends_well(m)
            done = subprocess.run(["e2fsck", "-fn", disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            check(done.returncode == 0, "e2fsck: " + done.stdout.decode("utf-8", "replace"))
    return test


def direct(firmware, flavour="cloud-amd64", accel="soft"):
    """The firmware loads a kernel with an initrd of two parts, before it looks at the disk."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            disk = os.path.join(d, "disk.raw")
            with open(disk, "wb") as f:
                f.truncate(1 << 20)
            with open(os.path.join(d, "second"), "w", encoding="ascii") as f:
                f.write("of two parts\n")
            with pc("--firmware", firmware, "--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--initrd",
                    archive(d, os.path.join(d, "second")), "--append", "console=ttyS0 quiet from=panal", "--disk", disk, accel=accel) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, _ = m.run("cat /proc/cmdline /second; ls -d /sys/firmware/efi", 60)
                check("from=panal" in out and "of two parts" in out, "the kernel has not got what it was given:\n" + out)
                check(("No such file" in out) == (firmware == "bios"), "booted by the wrong firmware:\n" + out)
                m.send("poweroff -f\n")
                ends_well(m)
    return test


def boot_order():
    """Two disks: the one of the boot order is booted, wherever it is attached; without one the first."""
    with tempfile.TemporaryDirectory() as d:
        disks = []
        for n in range(2):
            # A boot sector that prints its letter and stops: mov ax, 0e41h + n; int 10h; hlt
            disks.append(os.path.join(d, f"disk{n}.raw"))
            says = b"".join(bytes([0xB8, c, 0x0E, 0xCD, 0x10]) for c in f"I am disk {n}.".encode())
            with open(disks[n], "wb") as f:
                f.write((says + b"\xfa\xf4").ljust(510, b"\0") + b"\x55\xaa")
                f.truncate(1 << 20)
        first, second = disks
        for expected, args in [
                (0, ("--disk", first, "--disk", second)),
                (1, ("--disk", first, "--disk", second, "--boot-order", "disk1")),
                (1, ("--disk", first + ",bootindex=7", "--disk", second + ",bootindex=3")),
                (1, ("--disk", first, "--disk", second + ",bus=sata,bootindex=0")),
                (0, ("--disk", first + ",bus=sata", "--cdrom", "none", "--disk", second, "--boot-order", "net,cdrom,disk0,disk")),
        ]:
            with pc(*args, memory="64M") as m:
                m.expect(rf"I am disk {expected}", 60)


def bridges(firmware, flavour="cloud-amd64"):
    """A nested tree of bridges is found by firmware and kernel, with the same addresses after a reboot; a disk behind a root
    port and one behind three bridges work; slots have their hot-plug driver."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            disks = [os.path.join(d, n) for n in ("near", "far")]
            for path in disks:
                with open(path, "wb") as f:
                    f.write(path.encode().ljust(1 << 20, b"\0"))
            seen = []
            with pc("--firmware", firmware, "--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--append",
                    "console=ttyS0 quiet", "--root-ports", "10", "--pci-bridges", "3", "--disk", disks[0], "--disk", disks[1],
                    "--pci-slots", "port2,bridge3.5") as m:
                for end in ("reboot -f\n", "poweroff -f\n"):
                    m.expect(SHELL, BOOT_S)
                    m.expect(PROMPT, 60)
                    tree, _ = m.run("cd /sys/bus/pci/devices; for f in *; do readlink -f $f; cat $f/resource; done; cd /", 60)
                    seen.append(tree)
                    paths = re.findall(r"/sys/devices/(\S+)", tree)
                    check(any(re.fullmatch(r"pci0000:00/0000:00:1c\.1/0000:[0-9a-f]+:00\.0", p) for p in paths), "no disk behind the port:\n" + tree)
                    check(any(re.fullmatch(r"pci0000:00/0000:00:1b\.1/0000:..:00\.0/0000:..:01\.0/0000:..:01\.0/0000:..:05\.0", p)
                              for p in paths), "no disk behind the bridges:\n" + tree)
                    out, _ = m.run("head -c 100 /dev/vda; head -c 100 /dev/vdb; ls /sys/bus/pci/slots; ls /sys/bus/pci_express/drivers/pciehp", 60)
                    check(disks[0] in out and disks[1] in out, "the disks cannot be read:\n" + out)
                    check("0000:00:1b.0:pcie" in out, "no hot-plug driver at the slots:\n" + out)
                    log, _ = m.run("dmesg | grep -iE 'no space|failed to assign|BAR .*: error|pciehp.*(fail|error)'", 60)
                    check(not log.strip(), "the kernel has trouble with the bridges:\n" + log)
                    m.send(end)
                ends_well(m)
            check(seen[0] == seen[1], "the addresses changed over the reboot:\n" + seen[0] + seen[1])
    return test


def hpet(flavour="cloud-amd64"):
    """Linux finds the HPET, uses it as its clock, and agrees with the host's; and a kernel with no other timer boots."""
    def test():
        with pc("--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--append",
                "console=ttyS0 quiet clocksource=hpet nolapic_timer") as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, _ = m.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource; dmesg | grep -i hpet", 60)
            check(out.split()[0] == "hpet" and "3 comparators" in out, "the HPET is not the clock:\n" + out)
            start = time.monotonic()
            first, _ = m.run("cat /proc/uptime", 60)
            m.run("sleep 3", 60)
            second, _ = m.run("cat /proc/uptime; grep -i hpet /proc/interrupts", 60)
            passed = float(second.split()[0]) - float(first.split()[0])
            check(2.9 < passed < time.monotonic() - start + 0.5, f"{passed} s of the guest's clock in {time.monotonic() - start} s")
            m.send("poweroff -f\n")
            ends_well(m)
    return test


def watchdog(flavour="amd64"):
    """Linux's i6300esb driver: wound up, the guest lives; left alone, it is switched off."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            more = os.path.join(d, "modules.img")
            with open(more, "wb") as f:
                f.write(modules(d, flavour, "i6300esb"))
            with pc("--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--initrd", more, "--append",
                    "console=ttyS0 quiet", "--watchdog", "poweroff") as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, _ = m.run("for f in /m/*.ko; do insmod $f heartbeat=4; done; dmesg | grep i6300; ls /dev/watchdog", 60)
                check("initialized" in out and "/dev/watchdog" in out and "No such" not in out, "no watchdog:\n" + out)
                out, _ = m.run("(for n in 1 2 3 4 5 6 7; do echo; sleep 1; done; echo V) > /dev/watchdog; echo al''ive", 60)
                check("alive" in out, "the watchdog does not take its winding up:\n" + out)
                m.send("exec 3> /dev/watchdog\n")
                m.expect("watchdog timer ran out", 60)
                ends_well(m)
    return test


SHORT = [("boot menu", boot_menu), ("rescue", rescue_shell()), ("uefi rescue", rescue_shell(firmware="uefi"))]
LONG = [
    ("watchdog", watchdog()),
    ("hpet", hpet()),
    ("bridges", bridges("bios")),
    ("uefi bridges", bridges("uefi")),
    ("boot order", boot_order),
    ("kernel", direct("bios")),
    ("uefi kernel", direct("uefi")),
    ("kernel 686-pae", direct("bios", "686-pae")),
    ("rescue 4 cpus", rescue_shell(cpus=4)),
    ("rom", rom),
    ("memtest", memtest("bios", "memtest86+x64.bin")),
    ("uefi memtest", memtest("uefi", "memtest86+x64.bin")),
    ("xen", xen),
    ("ipxe", ipxe),
    ("smbios", smbios),
    ("sata", sata()),
    ("sata 2 cpus", sata(2)),
    ("uefi variables", uefi_variables),
    ("uefi rescue 4 cpus 4G amd64", rescue_shell("amd64", 4, "4G", "uefi")),
    ("rescue 4G", rescue_shell(memory="4G")),
    ("rescue amd64", rescue_shell("amd64")),
    ("rescue 686-pae", rescue_shell("686-pae")),
    ("reboot", reboot),
]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

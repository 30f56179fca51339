#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""--boot-from-disk: the kernel that a disk's own loader would boot, without that loader. GRUB itself is the oracle: the
same disk under SeaBIOS and OVMF gives the guest the same command line.

    tests/guest/bootdisk.py              the short selection of ./check
    tests/guest/bootdisk.py --all        everything
    tests/guest/bootdisk.py NAME...      those whose name contains one of these
"""

import os
import shutil
import subprocess
import sys
import tempfile

import mirror
from linux import BOOT_S, PROMPT, SHELL, check, ends_well, kernel
from machine import BUILD, Machine, prepared, run_tests
from pc import modules

SECTOR, FIRST, MIB = 512, 2048, 1 << 20
UUID = "6dbd4e5c-6a6f-4a53-9d0f-0d2c25b2d8c1"
ROOT_SIZE = 128 * MIB
GRUB_BIOS = "/usr/lib/grub/i386-pc"
MODULES = ["biosdisk", "part_msdos", "part_gpt", "ext2", "fat", "normal", "linux", "search", "search_fs_uuid", "configfile", "test", "echo",
           "loadenv", "serial", "terminal", "sleep", "true", "minicmd"]
HEAD = """
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
"""
# Chosen by the environment block, as after grub-set-default; with what grub-mkconfig writes around it.
CONFIG = """
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="${saved_entry}"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
fi
export menuentry_id_option
set more="spaced  out"
set told="told  on"
export told
function first { set which=first; }
function second { set which=second; }
menuentry 'First' --class debian $menuentry_id_option 'first' {
	first
	linux	/boot/vmlinuz-1 console=ttyS0 which=$which
	initrd	/boot/initrd.img-1
}
submenu 'Others' $menuentry_id_option 'others' {
	menuentry 'Not this' { linux /boot/none; }
	menuentry 'Second' $menuentry_id_option 'second' {
		second
		if [ x$feature_platform_search_hint = xy ]; then
		  search --no-floppy --fs-uuid --set=root --hint-bios=hd7,msdos3 --hint='hd7,msdos3'  %(uuid)s
		else
		  echo 'no'
		fi
		for i in a b; do set list="$list$i,"; done
		linux	/boot/vmlinuz-2 console=ttyS0 which=$which $more "$told" $told 'q=$more' list=${list} \\
			x\\ y=1
		initrd	/boot/initrd.img-1
	}
}
""" % {"uuid": UUID}


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def environment(**values):
    return ("# GRUB Environment Block\n" + "".join(f"{k}={v}\n" for k, v in values.items())).ljust(1024, "#")


def tree(directory, saved):
    root = os.path.join(directory, "root")
    os.makedirs(os.path.join(root, "boot/grub"))
    for n in (1, 2):
        shutil.copy(kernel("cloud-amd64"), os.path.join(root, f"boot/vmlinuz-{n}"))
    with open(prepared("quick-cloud-amd64.img"), "rb") as f:
        initrd = f.read()
    put(os.path.join(root, "boot/initrd.img-1"),
        initrd + b"\0" * (-len(initrd) % 4) + modules(directory, "cloud-amd64", "virtio_pci", "virtio_blk", "ext4"))
    put(os.path.join(root, "boot/grub/grub.cfg"), HEAD + CONFIG)
    put(os.path.join(root, "boot/grub/grubenv"), environment(saved_entry=saved))
    return root


def run(*command, **more):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"), **more)


def root_partition(directory, saved):
    path = os.path.join(directory, "part")
    with open(path, "wb") as f:
        f.truncate(ROOT_SIZE)
    run("mke2fs", "-q", "-t", "ext4", "-U", UUID, "-d", tree(directory, saved), path)
    return path


def place(disk, partition, at):
    run("dd", f"if={partition}", f"of={disk}", f"seek={at}", "bs=512", "conv=notrunc,sparse", "status=none")


def mbr_disk(directory, saved):
    """One primary partition, GRUB for BIOS in the gap before it."""
    disk = os.path.join(directory, "disk.raw")
    core = os.path.join(directory, "core.img")
    run("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,msdos1)/boot/grub", *MODULES)
    with open(disk, "wb") as f:
        f.truncate(FIRST * SECTOR + ROOT_SIZE)
    run("sfdisk", "-q", disk, input=f"label: dos\nstart={FIRST}, type=83, bootable\n".encode())
    with open(disk, "r+b") as f, open(os.path.join(GRUB_BIOS, "boot.img"), "rb") as boot, open(core, "rb") as c:
        f.write(boot.read(440))
        f.seek(SECTOR)
        f.write(c.read())
    place(disk, root_partition(directory, saved), FIRST)
    return disk


def gpt_disk(directory, saved):
    """An EFI partition with GRUB, whose configuration leads to the second one."""
    disk, esp, size = (os.path.join(directory, n) for n in ("disk.raw", "esp", "size"))
    stub = os.path.join(directory, "stub.cfg")
    put(stub, f"search.fs_uuid {UUID} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n")
    run("grub-mkimage", "-O", "x86_64-efi", "-o", size, "-p", "/EFI/debian", "-c", stub, *[m for m in MODULES if m != "biosdisk"])
    with open(esp, "wb") as f:
        f.truncate(16 * MIB)
    run("mkfs.vfat", "-F", "16", esp, stderr=subprocess.DEVNULL)
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/EFI/debian")
    run("mcopy", "-i", esp, size, "::/EFI/BOOT/BOOTX64.EFI")
    run("mcopy", "-i", esp, stub, "::/EFI/debian/grub.cfg")
    second = FIRST + 16 * MIB // SECTOR
    with open(disk, "wb") as f:
        f.truncate((second + FIRST) * SECTOR + ROOT_SIZE)
    run("sfdisk", "-q", disk, input=f"label: gpt\nstart={FIRST}, size={16 * MIB // SECTOR}, type=U\nstart={second}, "
        f"size={ROOT_SIZE // SECTOR}, type=L\n".encode())
    place(disk, esp, FIRST)
    place(disk, root_partition(directory, saved), second)
    return disk


def command_line(m):
    m.expect(SHELL, BOOT_S)
    m.expect(PROMPT, 60)
    out, _ = m.run("cat /proc/cmdline")
    return out.strip()


def off(m):
    m.send("poweroff -f\n")
    ends_well(m)


def from_disk(disk, *args):
    return Machine("--boot-from-disk", "--disk", disk, "--memory", "512M", *args)


def upgrade():
    """What the guest changes on its disk is what boots next: after its reboot, and after a power-off."""
    with tempfile.TemporaryDirectory() as d:
        disk = mbr_disk(d, "first")
        with from_disk(disk, "--append", "panal.more=1") as m:
            line = command_line(m)
            check(line == "BOOT_IMAGE=/boot/vmlinuz-1 console=ttyS0 which=first panal.more=1", f"the command line is {line!r}")
            out, status = m.run("for f in /m/*.ko; do insmod $f 2>/dev/null; done; mkdir -p /d; mount -t ext4 /dev/vda1 /d && "
                                "echo 'menuentry New { linux /boot/vmlinuz-new console=ttyS0 new=yes; initrd /boot/initrd.img-1; }' "
                                "> /d/boot/grub/grub.cfg && cp /d/boot/vmlinuz-2 /d/boot/vmlinuz-new && rm /d/boot/vmlinuz-? && "
                                "umount /d", 120)
            check(status == 0, "the guest could not write its disk:\n" + out)
            m.send("reboot -f\n")
            line = command_line(m)
            check(line == "BOOT_IMAGE=/boot/vmlinuz-new console=ttyS0 new=yes panal.more=1", f"after the reboot it is {line!r}")
            off(m)
        qcow2 = os.path.join(d, "disk.qcow2")
        subprocess.run([os.path.join(BUILD, "panal"), "image", "convert", "-f", "raw", "-O", "qcow2", disk, qcow2], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with from_disk(qcow2 + ",format=qcow2") as m:
            line = command_line(m)
            check(line == "BOOT_IMAGE=/boot/vmlinuz-new console=ttyS0 new=yes", f"from qcow2 it is {line!r}")
            off(m)


def as_grub(make, firmware, saved):
    """GRUB itself boots the disk, then Panal without it: the same command line."""
    def test():
        with tempfile.TemporaryDirectory() as d:
            disk = make(d, saved)
            with Machine("--board", "pc", "--firmware", firmware, "--disk", disk, "--memory", "512M") as m:
                wanted = command_line(m)
                off(m)
            check("which=" in wanted, f"GRUB did not boot what it should: {wanted!r}")
            with from_disk(disk) as m:
                line = command_line(m)
                off(m)
            check(line == wanted, f"GRUB gives {wanted!r}, we {line!r}")
    return test


# A system that was started by hand until now: its kernel is one that no package brought.
OLD = """menuentry Old {
	linux /boot/old-kernel console=ttyS0 panal.root=/dev/vda1
	initrd /boot/old-ramdisk
}
"""
TOOLS, KERNEL = "initramfs-tools grub2-common", "linux-image-cloud-amd64"


def debian_disk(directory):
    """The prepared Debian in a partition, with that kernel and GRUB's configuration for it, as debugfs writes them."""
    part, disk = os.path.join(directory, "part"), os.path.join(directory, "disk.raw")
    run("cp", "--sparse=always", prepared("debian.img"), part)
    files = {"/etc/fstab": "/dev/vda1 / ext4 rw,discard 0 1\n", "/boot/grub/grub.cfg": OLD,
             "/etc/default/grub": 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="console=ttyS0"\n'}
    commands = ["mkdir /boot/grub", "rm /etc/fstab", f"write {kernel('cloud-amd64')} /boot/old-kernel",
                f"write {prepared('quick-cloud-amd64.img')} /boot/old-ramdisk"]
    for n, (path, text) in enumerate(files.items()):
        put(os.path.join(directory, str(n)), text)
        commands.append(f"write {directory}/{n} {path}")
    run("debugfs", "-w", "-f", "/dev/stdin", part, input="\n".join(commands).encode(), stderr=subprocess.DEVNULL)
    with open(disk, "wb") as f:
        f.truncate(FIRST * SECTOR + os.path.getsize(part))
    run("sfdisk", "-q", disk, input=f"label: dos\nstart={FIRST}, type=83, bootable\n".encode())
    place(disk, part, FIRST)
    os.remove(part)
    return disk


def logged_in(m):
    m.expect(r"root@debian:~# ", 900)
    out, _ = m.run("cat /proc/cmdline; uname -r")
    return out


def apt_upgrade():
    """Debian's own packages install a kernel in the guest: dpkg, the initial ramdisk, update-grub. It is what boots next."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as d, mirror.Mirror() as served:
        disk = debian_disk(d)
        with from_disk(disk, "--net", "user", "--cpus", "2") as m:
            check("panal.root=" in logged_in(m), "not by the kernel that was there")
            out, status = m.run("ls /boot/vmlinuz-6*; mkdir -p /etc/initramfs-tools/conf.d; echo MODULES=dep > /etc/initramfs-tools/conf.d/panal; "
                                f"rm -rf /etc/apt/sources.list.d/*; echo 'deb http://10.0.2.2:{served.server_port}/debian bookworm main' > /etc/apt/sources.list; "
                                "apt-get -q update", 600)
            check(status == 0 and "vmlinuz-6." not in out.replace("'/boot/vmlinuz-6*'", ""), "apt-get update:\n" + out)
            install = "DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends"
            out, status = m.run(f"{install} {TOOLS} </dev/null", 900)
            check(status == 0, "apt-get install:\n" + out[-1500:])
            out, status = m.run(f"{install} {KERNEL} </dev/null", 1800)
            check(status == 0 and "Found initrd image: /boot/initrd.img-6." in out, "apt-get install:\n" + out[-1500:])
            m.send("reboot\n")
            m.expect(r"reboot: Restarting system", 300)
            after = logged_in(m)
            check("BOOT_IMAGE=/boot/vmlinuz-6." in after and "root=UUID=" in after and "panal.root" not in after, "after the upgrade: " + after)
            release = after.split()[-1]
            check(f"vmlinuz-{release} " in after and release.endswith("cloud-amd64"), "another kernel runs than was named: " + after)
            m.send("poweroff\n")
            ends_well(m, 180)


SHORT = [("upgrade", upgrade)]
LONG = [("apt upgrade", apt_upgrade), ("grub bios first", as_grub(mbr_disk, "bios", "first")), ("grub bios second", as_grub(mbr_disk, "bios", "others>second")),
        ("grub bios nothing", as_grub(mbr_disk, "bios", "no such")), ("grub uefi second", as_grub(gpt_disk, "uefi", "Others>Second"))]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

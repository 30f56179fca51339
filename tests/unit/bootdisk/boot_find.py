#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panal-boot-find, in its sandbox, over disks that mke2fs, mkfs.vfat and mtools made: what it says that they boot.

    boot_find.py PANAL-BOOT-FIND
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
import uuid

HEAD = struct.Struct("<IIQQ")
START, DATA, READ, TITLE, CMDLINE, WARNING, KERNEL, INITRD, FAILED, DONE = range(1, 11)
SECTOR, MIB = 512, 1 << 20
ENV = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin", MTOOLS_SKIP_CHECK="1")
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "panal-boot-find"


def run(*command, **more):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV, **more)


class Found:
    def __init__(self):
        self.title = self.cmdline = self.warning = self.failed = None
        self.files, self.names = [], []


def ask(path, *args):
    """Plays the machine to the helper."""
    ours, theirs = socket.socketpair()
    with ours, theirs, open(path, "rb") as disk:
        # dup2 makes it inheritable; a shell would do the same with 3<&N
        process = subprocess.Popen(["/bin/sh", "-c", f'exec "$0" "$@" 3<&{theirs.fileno()}', PROGRAM, *args], pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(60)
        try:
            return talk(ours, disk, os.fstat(disk.fileno()).st_size)
        finally:
            ours.close()
            process.wait(10)


def receive(sock, length):
    data = bytearray()
    while len(data) < length:
        part = sock.recv(min(length - len(data), MIB))
        if not part:
            raise EOFError("the helper ended")
        data += part
    return bytes(data)


def talk(sock, disk, size):
    found = Found()
    sock.sendall(HEAD.pack(START, 0, 0, size))
    while True:
        kind, count, length, value = HEAD.unpack(receive(sock, HEAD.size))
        if kind == READ:
            disk.seek(value)
            data = disk.read(count)
            sock.sendall(HEAD.pack(DATA, 0, len(data), 0) + data)
            continue
        data = receive(sock, length)
        if kind in (KERNEL, INITRD):
            found.names.append(data[:count].decode())
            found.files.append(data[count:])
        elif kind in (TITLE, CMDLINE, WARNING, FAILED):
            setattr(found, {TITLE: "title", CMDLINE: "cmdline", WARNING: "warning", FAILED: "failed"}[kind], data.decode())
        if kind in (DONE, FAILED):
            return found


def ext4(path, tree, size=24 * MIB, *options):
    with open(path, "wb") as f:
        f.truncate(size)
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, *options, path)
    return path


def fat(path, tree, size, *options):
    with open(path, "wb") as f:
        f.truncate(size)
    run("mkfs.vfat", *options, path)
    for name in os.listdir(tree):
        run("mcopy", "-s", "-i", path, os.path.join(tree, name), "::")
    return path


def mbr_entry(kind, first, count):
    return struct.pack("<B3sB3sII", 0, b"\0\0\0", kind, b"\0\0\0", first, count)


def mbr_disk(path, *parts):
    """Primary partitions 1 and 2, the rest logical from 5 on."""
    out, at, entries, rest = bytearray(MIB), 2048, [], []
    places = []
    for part in parts:
        count = os.path.getsize(part) // SECTOR
        places.append((at, count))
        with open(part, "rb") as f:
            out[at * SECTOR:] = f.read()
        at += count
        out += bytes(MIB)  # room for the next one's table
        at += MIB // SECTOR
    entries = [mbr_entry(0x83, *p) for p in places[:2]]
    rest = places[2:]
    if rest:
        chain = rest[0][0] - 1
        entries.append(mbr_entry(5, chain, at - chain))
        for n, (first, count) in enumerate(rest):
            table = mbr_entry(0x83, 1, count)
            table += mbr_entry(5, rest[n + 1][0] - 1 - chain, rest[n + 1][1] + 1) if n + 1 < len(rest) else bytes(16)
            out[(first - 1) * SECTOR + 446:first * SECTOR] = table.ljust(64, b"\0") + b"\x55\xaa"
    out[446:512] = b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"
    with open(path, "wb") as f:
        f.write(out)
    return path


def gpt_disk(path, *parts):
    script, at = "label: gpt\n", 2048
    with open(path, "wb") as f:
        for part in parts:
            with open(part, "rb") as p:
                f.seek(at * SECTOR)
                shutil.copyfileobj(p, f)
            count = os.path.getsize(part) // SECTOR
            script += f"start={at}, size={count}\n"
            at += count
        f.truncate((at + 2048) * SECTOR)
    run("sfdisk", "-q", path, input=script.encode())
    return path


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tree = self.path("tree")
        self.kernel = os.urandom(300001)
        self.initrd = os.urandom(1500007)
        self.put("boot/vmlinuz-1", self.kernel)
        self.put("boot/initrd.img-1", self.initrd)
        self.put("boot/vmlinuz-2", b"the other kernel")
        self.put("boot/initrd.img-2", b"the other initrd")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def put(self, name, data, tree=None):
        path = os.path.join(tree or self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())

    def config(self, text):
        self.put("boot/grub/grub.cfg", text)

    def ask(self, text=None):
        """What a disk without a table boots by this configuration."""
        if text is not None:
            self.config(text)
        return ask(ext4(self.path("disk"), self.tree))

    def check(self, found, number, arguments):
        self.assertIsNone(found.failed)
        self.assertEqual(found.cmdline, f"BOOT_IMAGE=/boot/vmlinuz-{number} {arguments}".strip())
        self.assertEqual(found.names, [f"/boot/vmlinuz-{number}", f"/boot/initrd.img-{number}"])


ENTRY = "menuentry '{0}' --id id-{0} {{ linux /boot/vmlinuz-{1} {2}\n initrd /boot/initrd.img-{1} }}\n"
TWO = ENTRY.format("one", 1, "which=one") + ENTRY.format("two", 2, "which=two")


class Grub(Case):
    def test_files(self):
        found = self.ask(TWO)
        self.check(found, 1, "which=one")
        self.assertEqual(found.title, "one")
        self.assertEqual(found.files, [self.kernel, self.initrd])

    def test_default(self):
        for default, number in (("1", 2), ("two", 2), ("id-two", 2), ("'no such'", 1), ("7", 1), ("id-one", 1)):
            with self.subTest(default):
                self.check(self.ask(f"set default={default}\n{TWO}"), number, "which=two" if number == 2 else "which=one")

    def test_as_debian_writes_it(self):
        """Conditions, a function, the environment block, a submenu, search by UUID: the shape of grub-mkconfig's output."""
        self.put("boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=id-more>id-two\n".ljust(1024, "#"))
        self.put("boot/grub/unicode.pf2", "x")
        known = str(uuid.uuid4())
        self.config("""
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
else
   set default="${saved_entry}"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function gfxmode {
	set gfxpayload="${1}"
}
insmod all_video
if [ x$feature_default_font_path = xy ] ; then font=unicode
elif loadfont "($root)/no" ; then true
else font="/no"; fi
terminal_output gfxterm # a comment; with } in it
if [ "${recordfail}" = 1 ] ; then set timeout=30; else set timeout=5; fi
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'id-one' {
	linux /boot/vmlinuz-1 root=UUID=%(u)s ro  quiet
	initrd /boot/initrd.img-1
}
submenu 'More' $menuentry_id_option 'id-more' {
	menuentry 'Debian, old' --class debian $menuentry_id_option 'id-old' {
		linux /boot/vmlinuz-1
	}
	menuentry 'Debian, '\\''two'\\''' --class debian $menuentry_id_option 'id-two' {
		gfxmode $linux_gfx_mode
		if [ x$feature_platform_search_hint = xy ]; then
		  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,msdos1 --hint='hd0,msdos1'  %(u)s
		else
		  search --no-floppy --fs-uuid --set=root %(u)s
		fi
		echo	'Loading Linux ...'
		linux	/boot/vmlinuz-2 root=UUID=%(u)s ro "a=b c" 'd=$e' \\
			quiet
		initrd	/boot/initrd.img-2
	}
}
""" % {"u": known})
        disk = mbr_disk(self.path("disk"), ext4(self.path("a"), self.tree, 24 * MIB, "-U", known))
        self.check(ask(disk), 2, f'root=UUID={known} ro "a=b c" d=$e quiet')

    def test_separate_boot(self):
        """/boot on a partition of its own, the configuration reached from the EFI partition's; GPT."""
        known = str(uuid.uuid4())
        esp = self.path("esp-tree")
        boot = os.path.join(self.tree, "boot")
        self.put("grub2/grub.cfg", "set kernelopts='root=/dev/x ro'\n"
                 "menuentry a { linux ($root)/vmlinuz-1 $kernelopts\n initrd ($root)/initrd.img-1; }\n", tree=boot)
        self.put("EFI/debian/grub.cfg", f"search.fs_uuid {known} root hd0,gpt9\nset prefix=($root)'/grub2'\n"
                 "configfile $prefix/grub.cfg\n", tree=esp)
        parts = (fat(self.path("esp"), esp, 40 * MIB, "-F", "32"), ext4(self.path("b"), boot, 24 * MIB, "-U", known))
        for n, order in enumerate((parts, parts[::-1])):
            found = ask(gpt_disk(self.path(f"disk{n}"), *order))
            self.assertIsNone(found.failed)
            self.assertEqual(found.cmdline, f"BOOT_IMAGE=(hd0,gpt{2 - n})/vmlinuz-1 root=/dev/x ro")
            self.assertEqual(found.files, [self.kernel, self.initrd])

    def test_only_pointer(self):
        """Where /boot/grub lies elsewhere than usual, the EFI partition's configuration leads there."""
        known = str(uuid.uuid4())
        esp, other = self.path("esp-tree"), self.path("other")
        self.put("EFI/debian/grub.cfg", f"search.fs_uuid {known} root\nset prefix=($root)'/odd'\nconfigfile $prefix/grub.cfg\n", tree=esp)
        self.put("odd/grub.cfg", "menuentry a { linux /k x=y }", tree=other)
        self.put("k", "kernel", tree=other)
        disk = gpt_disk(self.path("disk"), fat(self.path("esp"), esp, 8 * MIB), ext4(self.path("b"), other, 8 * MIB, "-U", known))
        self.assertEqual(ask(disk).cmdline, "BOOT_IMAGE=/k x=y")

    def test_logical(self):
        empty = self.path("empty")
        os.makedirs(empty)
        parts = [ext4(self.path(f"e{n}"), empty, 2 * MIB) for n in range(3)]
        self.config("search --set --label ROOT\n" + TWO)
        found = ask(mbr_disk(self.path("disk"), *parts, ext4(self.path("r"), self.tree, 24 * MIB, "-L", "ROOT")))
        self.check(found, 1, "which=one")

    def test_loops(self):
        self.check(self.ask("for i in a b c; do x=$x$i; done\nn=\nwhile [ $n != 3 ]; do if [ -z \"$n\" ]; then n=1; "
                            "elif [ $n = 1 ]; then n=2; else n=3; fi; done\nuntil [ $n = 9 ]; do n=9; done\n" +
                            ENTRY.format("one", 1, "$x$n")), 1, "abc9")

    def test_words(self):
        self.check(self.ask("set two='b  c'\n" + ENTRY.format("one", 1, '$two "$two" x\\ y "\\"" ${two}z')),
                   1, 'b c "b  c" "x y" " b cz')

    def test_bls_by_grub(self):
        """Fedora's: entries as files, options with variables, the saved one chosen."""
        self.put("boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=m-6.1\nkernelopts=root=UUID=7 ro\n".ljust(1024, "#"))
        for version, number in (("6.1", 1), ("6.10", 2)):
            self.put(f"loader/entries/m-{version}.conf", f"title Linux {version}\nversion {version}\nlinux /boot/vmlinuz-{number}\n"
                     f"initrd /boot/initrd.img-{number} \noptions $kernelopts v={version}\ngrub_users $grub_users\n")
        self.put("boot/grub2/grub.cfg", 'load_env -f ${prefix}/grubenv\nset default="${saved_entry}"\ninsmod blscfg\nblscfg\n')
        found = self.ask()
        self.assertIsNone(found.failed)
        self.assertEqual((found.title, found.names[0]), ("Linux 6.1", "/boot/vmlinuz-1"))
        self.assertTrue(found.cmdline.endswith("root=UUID=7 ro v=6.1"), found.cmdline)

    def test_symbolic_links(self):
        os.symlink("boot/vmlinuz-2", os.path.join(self.tree, "vmlinuz"))
        os.symlink("/boot/initrd.img-2", os.path.join(self.tree, "initrd.img"))
        found = self.ask("menuentry a { linux /vmlinuz; initrd /initrd.img; }")
        self.assertEqual(found.files, [b"the other kernel", b"the other initrd"])


class BootLoaderSpecification(Case):
    def entries(self):
        tree = self.path("esp-tree")
        for version, number in (("6.1.9", 1), ("6.1.10", 2)):
            self.put(f"loader/entries/id-{version}.conf", f"# comment\ntitle\tLinux {version}\nlinux /id/{version}/linux\n"
                     f"initrd /id/{version}/initrd\noptions root=UUID=1 ro\noptions more={version}\n", tree=tree)
            self.put(f"id/{version}/linux", self.kernel if number == 1 else "other", tree=tree)
            self.put(f"id/{version}/initrd", self.initrd if number == 1 else "other", tree=tree)
        return tree

    def test_newest(self):
        for size, bits in ((4 * MIB, 12), (20 * MIB, 16), (40 * MIB, 32)):
            with self.subTest(bits):
                found = ask(gpt_disk(self.path("disk"), fat(self.path("esp"), self.entries(), size, "-F", str(bits), "-s", "4" if bits == 12 else "1")))
                self.assertIsNone(found.failed)
                self.assertEqual((found.title, found.cmdline), ("Linux 6.1.10", "root=UUID=1 ro more=6.1.10"))

    def test_default(self):
        tree = self.entries()
        self.put("loader/loader.conf", "timeout 3\ndefault id-6.1.9*\n", tree=tree)
        found = ask(gpt_disk(self.path("disk"), fat(self.path("esp"), tree, 40 * MIB, "-F", "32")))
        self.assertEqual((found.title, found.files), ("Linux 6.1.9", [self.kernel, self.initrd]))


class Refused(Case):
    def refused(self, text, *words):
        found = self.ask(text)
        self.assertIsNotNone(found.failed, "it was taken")
        for word in words:
            self.assertIn(word, found.failed)

    def test_scripts(self):
        self.refused("menuentry a {", "grub.cfg", "ends within a block")
        self.refused("set x='", "quote")
        self.refused("while true; do x=1; done", "does not come to its end")
        self.refused("function f { f; }\nf", "too deep")
        self.refused("if true; then " * 200, "too deep")
        self.refused("source /boot/grub/grub.cfg\n", "no entry")
        self.refused("", "no entry")
        self.refused("menuentry a { linux /no }", '"a"', "/no", "not there")
        self.refused("menuentry 'firmware' { fwsetup }", "firmware", "no Linux")

    def test_disks(self):
        blank = self.path("blank")
        for size, word in ((0, "empty"), (1 << 16, "nothing known")):
            with open(blank, "wb") as f:
                f.truncate(size)
            self.assertIn(word, ask(blank).failed)
        with open(blank, "wb") as f:
            f.write(b"XFSB".ljust(MIB, b"\0"))
        self.assertIn("XFS", ask(blank).failed)
        self.assertIn("no boot configuration", self.ask().failed)

    def test_damage(self):
        """Bytes of file systems changed at random places: an answer each time, and never an end without one."""
        import random
        chance = random.Random(7)
        self.config(TWO)
        good = ext4(self.path("good"), self.tree, 8 * MIB)
        with open(good, "rb") as f:
            data = f.read()
        for _ in range(40):
            bad = bytearray(data)
            for _ in range(chance.randrange(1, 200)):
                bad[chance.randrange(1024, 1 << chance.randrange(11, 23))] = chance.randrange(256)
            with open(self.path("bad"), "wb") as f:
                f.write(bad)
            ask(self.path("bad"))


if __name__ == "__main__":
    unittest.main()

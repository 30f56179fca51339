#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad inputs to panal-vmm and panal run: each gives one clear line on standard error and a status that is not 0.

    tests/guest/bad_input.py [NAME...]      those whose name contains one of these

With PANAL_BUILD=build-asan nothing may be reported by the sanitizers either: their report is more than one line.
"""

import functools
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

from machine import BUILD, Failure, Skip, run_tests

TIMEOUT_S = 60
LINE_MAX = 400
NOBODY = 65534
GOOD = os.path.join(BUILD, "tests/guest/system/sys64.elf")  # a PVH kernel that is always there


def elf(machine=62, phoff=64, phnum=1, filesz=16, memsz=4096, body=b"\xf4" * 64, bits=2):
    """A small 64-bit ELF with one loadable segment at 1 MiB; what is asked for is what its header says."""
    head = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x100000, phoff, 0, 0, 64, 56, phnum, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0x78, 0x100000, 0x100000, filesz, max(filesz, memsz), 4096) + body


def bzimage(version=0x020f, sectors=4, syssize=1 << 16, size=4096):
    """The header of a bzImage that promises more than the file has."""
    image = bytearray(4096)
    image[0x1f1] = sectors
    struct.pack_into("<I", image, 0x1f4, syssize)
    struct.pack_into("<H", image, 0x1fe, 0xaa55)
    image[0x200:0x206] = b"\xeb\x6aHdrS"
    struct.pack_into("<H", image, 0x206, version)
    image[0x211] = 1
    struct.pack_into("<I", image, 0x22c, 0x7fffffff)
    return bytes(image[:size])


def multiboot(load_end=0x900000, flags=0x10000, header=0x100000, load=0x100000, entry=0x100010):
    magic = 0x1badb002
    return struct.pack("<IIIIIIII", magic, flags, -(magic + flags) & 0xffffffff, header, load, load_end, 0, entry) + bytes(256)


FILES = {
    "empty": b"",
    "text": b"this is no kernel\n" * 100,
    "noise": bytes((n * n * 7919 + n) >> 3 & 255 for n in range(9000)),
    "one-byte": b"\x7f",
    "elf-magic": b"\x7fELF",
    "elf-head": elf()[:40],
    "elf-arm": elf(machine=183),
    "elf-no-segments": elf(phnum=0),
    "elf-table-outside": elf(phoff=1 << 40),
    "elf-table-wraps": elf(phoff=(1 << 64) - 8),
    "elf-many": elf(phnum=65535),
    "elf-cut": elf(filesz=1 << 20),
    "elf-memory": elf(memsz=1 << 30),
    "elf-huge": elf(filesz=(1 << 63) + 5),
    "bz-cut": bzimage(),
    "bz-header": bzimage(size=0x210),
    "bz-old": bzimage(version=0x0200),
    "bz-empty": bzimage(syssize=0),
    "mb-cut": multiboot(),
    "mb-outside": multiboot(header=0x1000, load=0x100000),
    "mb-features": multiboot(flags=0x10000 | 0xfff0),
}


class Folder:
    """The files that the cases name, in a folder that everybody may read."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="panal-bad-")
        os.chmod(self.path, 0o755)
        for name, data in FILES.items():
            with open(self.file(name), "wb") as f:
                f.write(data)
        for name, size in (("disk", 1 << 20), ("disk-odd", 1000), ("big", 600 << 20), ("secret", 1 << 20)):
            with open(self.file(name), "wb") as f:
                f.truncate(size)
        os.chmod(self.file("secret"), 0)
        os.mkdir(self.file("folder"))
        os.mkfifo(self.file("fifo"))

    def file(self, name):
        return os.path.join(self.path, name)


def launch(program, args, user=None):
    command = [os.path.join(BUILD, program[0]), *program[1:], *args]
    who = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=TIMEOUT_S, check=False, **who)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{' '.join(args)}: was not refused, still runs after {TIMEOUT_S} s: {late.stderr}") from None


def refused(program, args, words, user=None):
    """One line, with these words in it, and a status of 1 or 2."""
    done = launch(program, args, user)
    text = done.stderr.decode("utf-8", "replace")
    what = f"{' '.join(program)} {' '.join(args)}"[:300]
    if done.returncode not in (1, 2):
        raise Failure(f"{what}: status {done.returncode}; {text[-1500:]}")
    if text.count("\n") != 1 or len(text) > LINE_MAX or not text.endswith("\n"):
        raise Failure(f"{what}: {text.count(chr(10))} lines of {len(text)} bytes instead of a clear one:\n{text[-3000:]}")
    if done.stdout:
        raise Failure(f"{what}: standard output has {done.stdout[:200]!r}")
    for word in words:
        if word.lower() not in text.lower():
            raise Failure(f"{what}: nothing of {word!r} in: {text}")


# name, arguments ({} is the folder), words that the line must have
QUIET = ("--serial", "none", "--accel", "soft", "--memory", "64M")
if "ASAN_OPTIONS" in os.environ:
    QUIET += ("--no-sandbox",)  # a leak is looked for with ptrace, a right that the sandbox gives up
KERNELS = [
    ("missing kernel", ("{}/nothing",), ("nothing", "no such file")),
    ("missing kernel, accelerator measured", ("{}/nothing", "--accel", "auto"), ("nothing", "no such file")),
    ("a disk as kernel", ("{}/disk",), ("disk", "--board pc")),
    ("no kernel", (), ("no kernel",)),
    ("vsock cid 2", ("--vsock-cid", "2", "{}/text"), ("--vsock-cid", "not possible")),
    ("two images", ("{}/text", "{}/text"), ("two images",)),
    ("kernel is a folder", ("{}/folder",), ("folder", "directory")),
    ("kernel is a pipe", ("{}/fifo",), ("fifo", "regular")),
    ("kernel is a device", ("/dev/zero",), ("/dev/zero", "regular")),
    *((f"kernel {name}", ("{}/" + name,), ("kernel",) if name == "bz-empty" else (name,)) for name in FILES),
    ("missing initrd", (GOOD, "--initrd", "{}/nothing"), ("nothing", "no such file")),
    ("initrd is a folder", (GOOD, "--initrd", "{}/folder"), ("folder", "directory")),
    # under ASan: what was opened before it is not lost
    ("missing kernel beside back ends", ("{}/nothing", "--disk", "{}/disk", "--net", "user", "--console", "none"), ("nothing", "no such file")),
    ("missing firmware beside back ends", ("--firmware", "{}/nothing", "--disk", "{}/disk", "--net", "user"), ("nothing", "no such file")),
    ("last device fails", (GOOD, "--disk", "{}/disk", "--net", "user", "--console", "none", "--vsock", "{}/no/where"), ("vsock",)),
    ("initrd larger than memory", (GOOD, "--initrd", "{}/big"), ("initrd", "--memory")),
    ("too many initrds", (GOOD, *("--initrd", "{}/text") * 17), ("--initrd", "16")),
    ("command line too long", (GOOD, "--append", "x" * 70000), ("command line",)),
]
SIZES = [(f"memory {text!r}", (GOOD, "--memory", text), ("--memory", word)) for text, word in (
    ("0", "possible"), ("1", "possible"), ("100T", "possible"), ("abc", "abc"), ("-5", "-5"), ("", "size"), ("1G1", "1G1"),
    ("1M", "possible"), ("2097153", "possible"), ("99999999999999999999", "too large"), ("9000000T", "too large"), ("1X", "1X"))]
CPUS = [(f"cpus {text!r}", (GOOD, "--cpus", text), ("--cpus", word)) for text, word in (
    ("0", "possible"), ("1000000", "possible"), ("-1", "number"), ("two", "number"), ("4,sockets=3", "not"),
    ("2,cores=0,threads=3", "not"), ("4,sockets=0", "from 1"), ("4,colour=red", "colour"), ("4,cores=2,cores=2", "twice"),
    ("4,,", "number"), ("4294967296,sockets=65536,cores=65536", ""))]
OPTIONS = [
    ("numa without all memory", (GOOD, "--numa", "node,cpus=0,mem=4M"), ("--numa", "mem=")),
    ("numa without processors", (GOOD, "--numa", "node"), ("--numa", "processor 0")),
    ("firmware that needs SMM", ("--firmware", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"), ("Secure Boot", "SMM")),
    ("five serial ports", (GOOD, *("--serial", "none") * 5), ("--serial", "4")),
    ("parallel port of a micro", (GOOD, "--parallel", "none"), ("--parallel", "pc")),
    ("no UUID as generation ID", ("--board", "pc", "--vmgenid", "12"), ("--vmgenid", "UUID")),
    ("generation ID of a micro", (GOOD, "--vmgenid", "auto"), ("--vmgenid", "pc")),
    ("unknown option", (GOOD, "--colour", "red"), ("--colour", "--help")),
    ("unknown short option", (GOOD, "-z"), ("-z",)),
    *((f"{o} without value", (GOOD, o), (o, "value")) for o in ("--kernel", "--memory", "--cpus", "--disk", "--net", "--control")),
    ("switch with value", (GOOD, "--no-reboot=yes"), ("--no-reboot", "value")),
    ("board unknown", (GOOD, "--board", "pc98"), ("pc98", "micro")),
    ("accelerator unknown", (GOOD, "--accel", "magic"), ("magic", "soft")),
    ("accelerator empty", (GOOD, "--accel", ""), ("--accel",)),
    ("accelerator options unknown", (GOOD, "--accel", "soft,colour=red"), ("colour",)),
    ("accelerator option without sense", (GOOD, "--accel", "soft,translate=perhaps"), ("translate",)),
    ("accelerator cache too small", (GOOD, "--accel", "soft,translate=on,cache=1K"), ("cache", "65536")),
    ("accelerator cache too large", (GOOD, "--accel", "soft,translate=on,cache=1T"), ("cache",)),
    ("accelerator heat", (GOOD, "--accel", "soft,translate=on,hot=0"), ("hot",)),
    ("accelerator interrupt that is an exception", (GOOD, "--accel", "soft,translate=on,interrupt=14"), ("interrupt",)),
    ("virtio transport unknown", (GOOD, "--virtio", "isa"), ("isa", "pci")),
    ("paused for ever", (GOOD, "--paused"), ("--paused", "--control", "--gdb")),
    ("unpack unknown", (GOOD, "--unpack", "nobody"), ("nobody", "host")),
]
USB = [(f"usb {text!r}", (GOOD, "--usb", text), ("--usb", word)) for text, word in (
    ("piano", "unknown"), ("keyboard,port=0", "not possible"), ("keyboard,port=9", "not possible"), ("keyboard,port=1.", "not possible"),
    ("keyboard,port=1.1.1.1.1.1.1", "not possible"), ("controller,slot=31", "not possible"), ("mouse,size=3", "size"))]
USB += [
    ("usb port without its hub", (GOOD, "--usb", "keyboard,port=2.3"), ("2.3", "hub")),
    ("usb port twice", (GOOD, "--usb", "keyboard,port=2", "--usb", "mouse,port=2"), ("port 2", "taken")),
    ("usb ports all taken", (GOOD, *("--usb", "tablet") * 9), ("taken", "hub")),
    ("root ports without pci", (GOOD, "--root-ports", "2", "--virtio", "mmio"), ("--root-ports", "mmio")),
    ("usb without pci", (GOOD, "--usb", "tablet", "--virtio", "mmio"), ("--usb", "mmio")),
    ("usb disk on a port that is none", (GOOD, "--disk", "{}/disk,bus=usb,port=3.1"), ("3.1", "hub")),
    ("clock by an unknown zone", (GOOD, "--rtc", "moon"), ("--rtc", "localtime")),
    ("clock without a sign", (GOOD, "--rtc", "12"), ("--rtc", "+SECONDS")),
    ("clock of another age", (GOOD, "--rtc", "+99999999999"), ("--rtc", "years")),
    ("unit of a virtio disk", (GOOD, "--disk", "{}/disk,unit=1"), ("--disk", "unit=", "sata")),
    ("unit that no controller has", (GOOD, "--disk", "{}/disk,bus=sata,unit=6"), ("unit=6", "0 to 5")),
    ("serial that is too long", (GOOD, "--disk", "{}/disk,serial=123456789012345678901"), ("serial=", "20")),
    ("serial of a CD", (GOOD, "--disk", "{}/disk,cdrom,serial=1"), ("serial=",)),
    ("two drives in one place", ("--firmware", "bios", "--disk", "{}/disk,bus=ide,unit=2,readonly", "--disk",
                                 "{}/disk,bus=ide,unit=2,readonly"), ("IDE", "number 2")),
    ("port of a virtio disk", (GOOD, "--disk", "{}/disk,port=3"), ("--disk", "bus=usb")),
]
DISKS = [(f"disk {name}", (GOOD, "--disk", spec), ("--disk", *words)) for name, spec, words in (
    ("missing", "{}/nothing", ("nothing", "exist")), ("is a folder", "{}/folder", ("folder", "directory")),
    ("is a pipe", "{}/fifo", ("fifo",)), ("is a character device", "/dev/null", ("/dev/null",)), ("empty path", "", ()),
    ("of unknown format", "{}/disk,format=magic", ("magic", "raw")), ("without a format", "{}/disk,format=", ("raw",)),
    ("with unknown key", "{}/disk,colour=red", ("colour",)), ("with a bad switch", "{}/disk,readonly=perhaps", ("perhaps",)),
    ("with an empty part", "{}/disk,,,readonly", ()))]
DISKS.append(("too many disks", (GOOD, *("--disk", "{}/disk,readonly") * 17), ("--disk", "16")))
NETS = [(f"net {spec!r}", (GOOD, "--net", spec), ("--net", word)) for spec, word in (
    ("magic", "magic"), ("", "user"), ("user,forward=", "forward"), ("user,forward=tcp:1", "tcp"), ("user,forward=tcp:0:22", "tcp:0:22"),
    ("user,forward=icmp:1:2", "icmp"), ("user,forward=tcp:70000:22", "70000"), ("user,forward=tcp:a.b:1:2", "a.b"),
    ("user,forward=tcp:1:2:3:4:5", "tcp"), ("user,colour=red", "colour"), ("user,mac=01:00:00:00:00:00", "mac"), ("tap=", "name"), ("tap=averylonginterfacename", "name"),
    ("tap", "name"))]
CHARS = [
    ("serial unknown", (GOOD, "--serial", "magic"), ("--serial", "magic")),
    ("serial empty", (GOOD, "--serial", ""), ("--serial",)),
    ("serial file in no folder", (GOOD, "--serial", "file:{}/nothing/log"), ("nothing/log", "no such file")),
    ("serial file is a folder", (GOOD, "--serial", "file:{}/folder"), ("folder", "directory")),
    ("serial socket path too long", (GOOD, "--serial", "unix:/tmp/" + "x" * 200), ("--serial", "characters")),
    ("serial socket is a file", (GOOD, "--serial", "unix:{}/text"), ("text",)),
    ("console unknown", (GOOD, "--console", "magic"), ("--console", "magic")),
    ("vsock in no folder", (GOOD, "--vsock", "{}/nothing/vsock"), ("vsock",)),
    ("control socket path too long", (GOOD, "--control", "/tmp/" + "x" * 200), ("control socket", "bytes")),
    ("control socket in no folder", (GOOD, "--control", "{}/nothing/qmp"), ("control", "no such file")),
    ("control socket is a file", (GOOD, "--control", "{}/text"), ("control", "text")),
    ("control socket is a folder", (GOOD, "--control", "{}/folder"), ("control",)),
]


def case(folder, args, words):
    full = [a.replace("{}", folder.path) for a in (*QUIET, *args)]
    refused(["panal-vmm"], full, words)
    refused(["panal", "run"], full, words)


def as_nobody(folder, args, words):
    if os.getuid() != 0:
        user = None
    elif subprocess.run([os.path.join(BUILD, "panal-vmm"), "--version"], user=NOBODY, group=NOBODY, extra_groups=[],
                        capture_output=True, check=False).returncode == 0:
        user = NOBODY
    else:
        raise Skip("the build folder cannot be entered by an ordinary user")
    refused(["panal-vmm"], [a.replace("{}", folder.path) for a in (*QUIET, *args)], words, user)


def run_nobody(args):
    """subprocess raises where the user may not enter the folder; that is a reason to skip."""
    def test(folder, more, words):
        try:
            as_nobody(folder, more, words)
        except PermissionError:
            raise Skip("the build folder cannot be entered by an ordinary user") from None
    return functools.partial(test, more=args[0], words=args[1])


def others_tap(folder):
    if subprocess.run(["ip", "tuntap", "add", "dev", "panal-root", "mode", "tap", "user", "root"], capture_output=True, check=False).returncode:
        raise Skip("no tap interface can be made here; run as root with /dev/net/tun and iproute2")
    try:
        run_nobody(((GOOD, "--net", "tap=panal-root"), ("no right", "ip tuntap")))(folder)
    finally:
        subprocess.run(["ip", "tuntap", "del", "dev", "panal-root", "mode", "tap"], check=False)


def busy_port(folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        case(folder, (GOOD, "--net", f"user,forward=tcp:{port}:22"), (str(port), "in use"))


def other_machine(folder, *args):
    """A paused machine that holds what the next one asks for."""
    path = folder.file("first")
    first = subprocess.Popen([os.path.join(BUILD, "panal-vmm"), *QUIET, GOOD, "--paused", "--control", path, *args],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(200):
        if os.path.exists(path) or first.poll() is not None:
            break
        time.sleep(0.05)
    if first.poll() is not None or not os.path.exists(path):
        first.kill()
        raise Failure(f"the machine that should hold it did not start: {first.communicate()[1]!r}")
    return first


def held(args, words, *holder):
    def test(folder):
        first = other_machine(folder, *(h.replace("{}", folder.path) for h in holder))
        try:
            case(folder, args, words)
            if first.poll() is not None:
                raise Failure("the first machine ended")
        finally:
            first.terminate()
            first.communicate()
    return test


def main():
    folder = Folder()
    if not os.path.exists(GOOD):
        sys.exit(f"{GOOD} is missing; build first")
    tests = [(n, functools.partial(case, folder, a, w)) for n, a, w in (*KERNELS, *SIZES, *CPUS, *OPTIONS, *USB, *DISKS, *NETS, *CHARS)]
    tests += [(n, functools.partial(f, folder)) for n, f in (
        ("disk unreadable", run_nobody(((GOOD, "--disk", "{}/secret"), ("secret", "owner or mode")))),
        ("kernel unreadable", run_nobody((("{}/secret",), ("secret", "permission")))),
        ("tap without rights", others_tap),
        ("interface that is no tap", lambda f: case(f, (GOOD, "--net", "tap=lo"), ("lo", "no tap interface"))),
        ("tap that is not there", lambda f: case(f, (GOOD, "--net", "tap=panal-none"), ("no tap interface panal-none", "ip tuntap"))),
        ("serial file not writable", run_nobody(((GOOD, "--serial", "file:/panal-log"), ("/panal-log", "permission")))),
        ("forward of a busy port", busy_port),
        ("disk in use", held((GOOD, "--disk", "{}/disk"), ("disk", "in use by another machine"), "--disk", "{}/disk")),
        ("disk in use, read-only wanted", held((GOOD, "--disk", "{}/disk,readonly"), ("in use",), "--disk", "{}/disk")),
        ("disk twice", lambda f: case(f, (GOOD, "--disk", "{}/disk", "--disk", "{}/disk"), ("disk",))),
        ("control socket in use", held((GOOD, "--control", "{}/first"), ("control socket", "another machine"))),
    )]
    names = sys.argv[1:]
    try:
        return run_tests([t for t in tests if not names or any(n in t[0] for n in names)])
    finally:
        shutil.rmtree(folder.path)


if __name__ == "__main__":
    sys.exit(main())

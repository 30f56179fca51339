#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Debian guest sees of its PC with dmidecode, lspci, lscpu, numactl and lsusb is what was asked for.

    tests/guest/sees.py            the short selection of ./check
    tests/guest/sees.py --all      everything
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from control import Qmp
from linux import PROMPT, SHELL, check, ends_well, kernel
from machine import Skip, prepared, run_tests
from pc import BOOT_S, modules, pc

PROGRAMS = ("dmidecode", "lspci", "lscpu", "numactl", "lsusb")
DATA = ("/usr/share/misc/pci.ids", "/usr/share/misc/usb.ids", "/var/lib/usbutils/usb.ids")
MODEL = "Haswell-noTSX"
HMAT = [word for text in (
    "hmat-lb,initiator=0,target=0,data-type=access-latency,latency=80", "hmat-lb,initiator=1,target=1,data-type=access-latency,latency=90",
    "hmat-lb,initiator=0,target=0,data-type=access-bandwidth,bandwidth=4G", "hmat-lb,initiator=1,target=1,data-type=access-bandwidth,bandwidth=2G",
    "hmat-cache,node-id=1,size=64M,level=1,associativity=direct,policy=write-back,line=64") for word in ("--numa", text)]


def programs(directory):
    """An initial ramdisk with these programs of the host's Debian and the libraries that they load."""
    tree = os.path.join(directory, "programs")
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
        if not path:
            raise Skip(f"{name} is missing; tools/install-deps --test")
        found = subprocess.run(["ldd", path], stdout=subprocess.PIPE, check=True).stdout.decode()
        for need in [path] + re.findall(r"(?:=> )?(/\S+) \(0x", found):
            to = tree + (f"/usr/bin/{name}" if need == path else need)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(need, to)
    for path in DATA:
        if os.path.exists(path):
            os.makedirs(os.path.dirname(tree + path), exist_ok=True)
            shutil.copy(path, tree + path)
    names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=tree, stdout=subprocess.PIPE, check=True).stdout
    return subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names, stdout=subprocess.PIPE, check=True).stdout


def ramdisk(directory, flavour, *names):
    more = os.path.join(directory, "more.img")
    with open(more, "wb") as f:
        f.write(programs(directory))
        f.write(b"\0" * (-f.tell() % 4) + modules(directory, flavour, *names))
    return more


def says(text, *patterns):
    missing = [p for p in patterns if not re.search(p, text, re.M)]
    check(not missing, f"these are missing: {missing}\n{text}")


def number(pattern, text):
    found = re.search(pattern, text, re.M)
    check(found, f"no {pattern}:\n{text}")
    return float(found.group(1))


def near(a, b, what):
    check(abs(a - b) <= b * 0.01, f"{what}: {a} and {b} are more than 1 % apart")


def processor(m):
    """Model, topology, features, caches, clock."""
    out, status = m.run("lscpu; lscpu -C=NAME,ONE-SIZE,ALL-SIZE,WAYS,LEVEL", 60)
    check(status == 0, out)
    says(out, r"Model name:.*Haswell", r"^CPU\(s\): +8$", r"Thread\(s\) per core: +2$", r"Core\(s\) per socket: +2$", r"Socket\(s\): +2$",
         r"\bsse4_1\b.*\bsse4_2\b", r"^L1d +\d+K", r"^L3 +\d+(\.\d+)?M", r"NUMA node\(s\): +2$")
    dies, _ = m.run("cd /sys/devices/system/cpu; cat cpu0/topology/die_cpus_list cpu2/topology/die_id cpu5/topology/package_cpus_list; cd /", 60)
    check(dies.split() == ["0-1", "1", "4-7"], f"the dies are not what was asked for: {dies}")
    tsc, _ = m.run("dmesg | grep -m1 'tsc: Detected'; grep -m1 'cpu MHz' /proc/cpuinfo", 60)
    detected = number(r"Detected ([\d.]+) MHz", tsc)
    near(number(r"cpu MHz\s*: ([\d.]+)", tsc), detected, "the clock in cpuinfo and the one that the kernel found")
    dmi, _ = m.run("dmidecode -t processor -t memory -t system -t bios", 60)
    says(dmi, r"Version: .*Haswell", r"Voltage: 1\.2 V", r"Core Count: 2", r"Thread Count: 4", r"Socket Designation: CPU 1",
         r"Size: 2 GB", r"UUID: 12345678-9abc-def0-1234-56789abcdef0", r"Manufacturer: Panal")
    near(number(r"Current Speed: (\d+) MHz", dmi), detected, "the clock in SMBIOS and the one that the kernel found")
    check(not re.search(r"broken|invalid|truncated|out of spec|<BAD", dmi, re.I), dmi)
    begin = time.monotonic()
    first, _ = m.run("cat /proc/uptime", 60)
    between = time.monotonic()
    time.sleep(4)
    second, _ = m.run("cat /proc/uptime", 60)
    passed = float(second.split()[0]) - float(first.split()[0])
    check((time.monotonic() - begin) * 1.01 >= passed >= (time.monotonic() - between - 4) * 0 + 4 * 0.99,
          f"the guest's clock went {passed} s in {time.monotonic() - begin} s")


def cards(m):
    """Each device where it was put, with capabilities that lspci can read."""
    out, status = m.run("lspci -vv", 60)
    check(status == 0 and not re.search(r"!!!|Unknown header|cannot|denied|pcilib|\[virtual\].*disabled", out), out)
    says(out, r"^00:00\.0 Host bridge: .*(82G33|Q35)", r"^00:1f\.0 ISA bridge: .*ICH9", r"^00:18\.0 VGA compatible controller: .*1234:1111|^00:18\.0 VGA",
         r"^00:17\.0 USB controller:.*xHCI|^00:17\.0 USB controller", r"^\S+ Ethernet controller: .*82574L", r"^\S+ Non-Volatile memory controller",
         r"^\S+ PCI bridge:", r"Capabilities: .*Express .*Root Port", r"Capabilities: .*MSI-X: Enable", r"SltCap:.*HotPlug\+", r"Region 0: Memory at")
    plain, _ = m.run("lspci -n | wc -l; ls /sys/bus/pci/devices | wc -l", 60)
    check(len(set(plain.split())) == 1, plain)


def nodes(m):
    out, status = m.run("numactl -H", 60)
    check(status == 0, out)
    says(out, r"available: 2 nodes \(0-1\)", r"node 0 cpus: 0 1 2 3$", r"node 1 cpus: 4 5 6 7$", r"0: +10 +25", r"1: +25 +10")
    for node, mib in ((0, 512), (1, 1536)):
        size = number(rf"node {node} size: (\d+) MB", out)
        check(mib * 0.8 <= size <= mib, f"node {node} has {size} MB of {mib}")
    out, _ = m.run("cd /sys/devices/system/node; cat node1/access0/initiators/read_latency node1/access0/initiators/write_bandwidth "
                   "node1/memory_side_cache/index1/size; ls -d node1/access0/initiators/node*; cd /", 60)
    check(out.split() == ["90", "2048", str(64 << 20), "node1/access0/initiators/node1"], "the HMAT says otherwise: " + out)


def usb(m):
    out, status = m.run("lsusb; lsusb -v 2>&1 | grep -E 'iProduct|bInterfaceClass|bcdUSB'", 60)
    check(status == 0, out)
    says(out, r"[Tt]ablet", r"[Kk]eyboard", r"bInterfaceClass +3", r"3\.0 root hub|xHCI")


def ports(m, directory, q):
    """Two serial ports and the parallel port; the generation ID."""
    out, _ = m.run("dmesg | grep -E 'ttyS[0-9] at|parport0|lp0'; echo from the guest > /dev/ttyS1; echo on paper > /dev/lp0; sleep 1", 60)
    says(out, r"ttyS0 at I/O 0x3f8 \(irq = 4", r"ttyS1 at I/O 0x2f8 \(irq = 3", r"ttyS2 at I/O 0x3e8 \(irq = 4", r"parport0: PC-style at 0x378")
    check("ttyS3" not in out, "a port that nobody asked for:\n" + out)
    for name, text in (("com2", b"from the guest"), ("lpt1", b"on paper")):
        with open(os.path.join(directory, name), "rb") as f:
            got = f.read()
        check(text in got, f"{name} has got {got!r}")
    before = q.execute("query-vm-generation-id")["return"]["guid"]
    check(before == "0badcafe-0000-4000-8000-0123456789ab", before)
    after = q.execute("set-vm-generation-id", guid="auto")["return"]["guid"]
    check(after != before, after)
    for _ in range(20):
        out, _ = m.run("dmesg | grep 'virtual machine fork'", 60)
        if "fork" in out:
            return
        time.sleep(0.5)
    check(False, "the guest did not notice the new generation ID")


def sees(firmware, flavour="amd64", accel="soft"):
    def test():
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "qmp")
            more = ramdisk(d, flavour, "xhci-pci", "usbhid", "hid-generic", "parport_pc", "lp", "nvme", "e1000e")
            disk = os.path.join(d, "disk")
            with open(disk, "wb") as f:
                f.truncate(1 << 20)
            with pc("--firmware", firmware, "--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--initrd", more,
                    "--append", "console=ttyS0 quiet", "--control", path, "--cpu", MODEL, "--cpus", "8,sockets=2,dies=2,cores=1,threads=2",
                    "--numa", "node,cpus=0-3,mem=512M", "--numa", "node,cpus=4-7,mem=1536M", "--numa", "dist,src=0,dst=1,val=25", *HMAT,
                    "--video", "std", "--usb", "tablet", "--usb", "keyboard", "--net", "user,model=e1000e", "--disk", disk + ",bus=nvme",
                    "--root-ports", "2", "--uuid", "12345678-9abc-def0-1234-56789abcdef0",
                    "--vmgenid", "0badcafe-0000-4000-8000-0123456789ab", "--serial", f"file:{d}/com2", "--serial", "none",
                    "--parallel", f"file:{d}/lpt1", memory="2G", accel=accel) as m:
                q = Qmp(path)
                q.execute("qmp_capabilities")
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                m.run("PATH=$PATH:/usr/bin; for f in /m/*.ko; do insmod $f 2>/dev/null; done; sleep 1", 120)
                processor(m)
                cards(m)
                nodes(m)
                usb(m)
                ports(m, d, q)
                m.send("poweroff -f\n")
                ends_well(m)
    return test


def amd(flavour="amd64"):
    """A processor of the other vendor: its name, topology by its own leaves, and caches shared as they are there. (Of a Zen
    before model 0x20 Linux takes who shares the L3 from bit 3 of the APIC ID, not from CPUID.)"""
    with tempfile.TemporaryDirectory() as d:
        with pc("--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--initrd", ramdisk(d, flavour, "evdev"), "--append",
                "console=ttyS0 quiet", "--cpu", "EPYC-Rome,enforce=off", "--cpus", "8,sockets=2,cores=2,threads=2") as m:
            m.expect(SHELL, BOOT_S)
            m.expect(PROMPT, 60)
            out, status = m.run("PATH=$PATH:/usr/bin; lscpu; lscpu -C=NAME,ONE-SIZE,ALL-SIZE,WAYS,LEVEL; cat /sys/devices/system/cpu/cpu5/cache/index3/shared_cpu_list", 60)
            check(status == 0, out)
            says(out, r"Vendor ID: +AuthenticAMD", r"Model name: +AMD EPYC-Rome Processor", r"CPU family: +23", r"^CPU\(s\): +8$", r"Thread\(s\) per core: +2$",
                 r"Core\(s\) per socket: +2$", r"Socket\(s\): +2$", r"^L3 +\d+(\.\d+)?M", r"^4-7$")
            m.send("poweroff -f\n")
            ends_well(m)


SHORT = [("bios", sees("bios"))]
LONG = [("uefi", sees("uefi")), ("amd", amd)]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

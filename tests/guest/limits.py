#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The largest machines, and what memory is made of: huge pages, 64 vCPUs, up to 1 TiB.

    tests/guest/limits.py              the short selection of ./check
    tests/guest/limits.py --all        everything (two minutes)
    tests/guest/limits.py NAME...      those whose name contains one of these
"""

import os
import re
import subprocess
import sys

from linux import BOOT_S, PROMPT, SHELL, boot, check, ends_well
from machine import BUILD, Skip, run_tests

THP = "/sys/kernel/mm/transparent_hugepage/enabled"
TOUCH = os.path.join(BUILD, "tests/guest/system/memory64.elf")


def shell(m, timeout=BOOT_S):
    m.expect(SHELL, timeout)
    m.expect(PROMPT, 60)


def off(m):
    m.send("poweroff -f\n")
    ends_well(m)


def huge_kib(pid):
    """Private memory of the process in huge pages."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        return int(next(line for line in f if line.startswith("AnonHugePages:")).split()[1])


def hugepages():
    """Nearly all memory that the guest uses is in huge pages."""
    modes = open(THP, encoding="ascii").read() if os.path.exists(THP) else "[never]"
    if "[never]" in modes:
        raise Skip(f"the host gives no huge pages: echo madvise > {THP}")
    with boot("cloud-amd64") as m:
        shell(m)
        m.run("dd if=/dev/zero of=/tmp/f bs=1M count=100 2>/dev/null", 60)
        huge = huge_kib(m.process.pid)
        check(huge > 100 << 10, f"{huge} KiB are in huge pages")
        off(m)


def touch(*sizes):
    """A guest without an operating system writes to each GiB of its memory and reads it back."""
    def test():
        for gib in sizes:
            done = subprocess.run([os.path.join(BUILD, "panal-vmm"), TOUCH, "--accel", "soft", "--memory", f"{gib}G"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            found = re.search(r"memory: (\d+) words written, 0 wrong", done.stdout)
            if "address space" in done.stderr or "cannot map" in done.stderr:
                raise Skip(f"{gib} GiB: {done.stderr.strip()}")
            check(done.returncode == 1 and found and int(found.group(1)) > gib,
                  f"{gib} GiB: status {done.returncode}: {done.stdout} {done.stderr}")
    return test


def large_linux():
    """Linux on 64 GiB finds and uses it; the host pays for what is touched."""
    with open("/proc/meminfo", encoding="ascii") as f:
        free = int(re.search(r"MemAvailable:\s*(\d+)", f.read()).group(1)) >> 20
    if free < 4:
        raise Skip(f"{free} GiB free here; Linux's tables for 64 GiB alone take one")
    with boot("cloud-amd64", "--cpus", "2", memory="64G") as m:
        shell(m, 600)
        out, _ = m.run("free -m | sed -n 2p", 60)
        check(int(out.split()[1]) > 62000, f"free says {out}")
        # where the kernel puts user memory: near the top
        out, status = m.run("mount -t tmpfs -o size=2g none /mnt && dd if=/dev/urandom of=/mnt/f bs=1M count=100 2>/dev/null && "
                            "cp /mnt/f /mnt/g && cmp /mnt/f /mnt/g && echo same", 120)
        check(status == 0 and "same" in out, f"memory in the guest: {out}")
        off(m)


def many_cpus():
    """64 vCPUs, each of which runs a process that is bound to it."""
    with boot("cloud-amd64", "--cpus", "64", memory="2G") as m:
        shell(m, 600)
        out, _ = m.run("cat /sys/devices/system/cpu/online", 60)
        check(out.strip() == "0-63", f"processors online: {out}")
        # field 39 of stat: the processor that a process ran on last
        out, status = m.run("for n in $(seq 0 63); do taskset $(printf %x $((1 << n))) sh -c 'cut -d\" \" -f39 /proc/self/stat'; done | "
                            "sort -n | uniq | wc -l", 300)
        check(status == 0 and out.split()[-1] == "64", f"of 64 processors these many ran a process: {out}")
        off(m)


SHORT = [("huge pages", hugepages), ("1 TiB of memory", touch(1, 5, 1024))]
LONG = [("64 vCPUs", many_cpus), ("Linux on 64 GiB", large_linux)]


def main():
    names = [a for a in sys.argv[1:] if a != "--all"]
    if names:
        return run_tests([t for t in SHORT + LONG if any(n in t[0] for n in names)])
    return run_tests(SHORT + LONG if "--all" in sys.argv else SHORT)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sleep to RAM (ACPI S3) on the PC board: Linux sleeps, and the clock, the power button, a key, or the control socket wake it;
hibernation (S4): Linux writes its memory to a disk and switches off, and goes on with it in the next machine.

    tests/guest/sleep.py              the short selection of ./check
    tests/guest/sleep.py --all        everything
    tests/guest/sleep.py NAME...      those whose name contains one of these
"""

import os
import sys
import tempfile
import time

from control import Qmp
from linux import PROMPT, SHELL, check, ends_well, kernel
from machine import PATIENCE, prepared, run_tests
from pc import BOOT_S, pc

FALL = "echo shallow > /sys/power/mem_sleep 2>/dev/null; echo deep > /sys/power/mem_sleep; echo mem > /sys/power/state"
WAKE_S, WRITE_S = 120, 120


def by_clock(q, m):
    """Nothing to do: the alarm was set before."""


def by_button(q, m):
    q.execute("system_powerdown")


def by_key(q, m):
    q.execute("send-key", keys=[{"type": "qcode", "data": "a"}])


def by_command(q, m):
    check("return" in q.execute("system_wakeup"), "system_wakeup was refused")


def sleep(firmware, how, flavour="cloud-amd64", cpus=1, accel="soft", more=()):
    def test():
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "qmp")
            disk = os.path.join(d, "disk")
            with open(disk, "wb") as f:
                f.write(b"here I am".ljust(1 << 20, b"\n"))
            with pc("--firmware", firmware, "--kernel", kernel(flavour), "--initrd", prepared(f"quick-{flavour}.img"), "--append",
                    "console=ttyS0 quiet no_console_suspend", "--control", path, "--cpus", str(cpus), "--disk", disk, *more, accel=accel) as m:
                q = Qmp(path)
                q.execute("qmp_capabilities")
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                check("error" in q.execute("system_wakeup"), "a guest that is awake was woken")
                out, _ = m.run("cat /sys/power/state /sys/power/mem_sleep", 60)
                check("mem" in out.split() and "deep" in out, "the kernel knows no sleep to RAM:\n" + out)
                for n in range(2):
                    m.run(f"echo {n} kept > /tmp/note", 60)
                    if how is by_clock:
                        m.run("echo 0 > /sys/class/rtc/rtc0/wakealarm; echo +6 > /sys/class/rtc/rtc0/wakealarm", 60)
                    m.send(FALL + "; echo aw''ake $?\n")
                    q.expect_event("SUSPEND")
                    check(q.execute("query-status")["return"]["status"] == "suspended", "not suspended")
                    begin = time.monotonic()
                    if n:
                        q.execute("stop")
                        q.execute("cont")
                        check(q.execute("query-status")["return"]["status"] == "suspended", "paused and resumed, it does not sleep on")
                    how(q, m)
                    q.expect_event("WAKEUP")
                    check(time.monotonic() - begin < 30, "it did not wake in time")
                    check(m.expect(r"awake (\d+)", WAKE_S).group(1) == "0", "the sleep failed")
                    m.expect(PROMPT, 60)
                    out, _ = m.run("cat /tmp/note; dd if=/dev/vda bs=9 count=1 iflag=direct 2>/dev/null || head -c 9 /dev/vda; echo; "
                                   "grep -c ^processor /proc/cpuinfo; dmesg | grep 'PM: suspend'", 60)
                    check(f"{n} kept" in out and "here I am" in out, "RAM or disk is not what it was:\n" + out)
                    check(f"\n{cpus}\n" in out, "not all processors woke:\n" + out)
                m.send("poweroff -f\n")
                ends_well(m)
    return test


COUNT = "mkswap /dev/vda && swapon /dev/vda && (n=0; while :; do n=$((n+1)); echo $n > /tmp/count; sleep 1; done) & "
FALL_TO_DISK = "echo disk > /sys/power/state; echo ba''ck $?\n"


def counted(m):
    return int(m.run("cat /tmp/count", 60)[0])


def hibernate(firmware, cpus=1):
    """A process that counts in RAM, through two machines: the second has the memory that the first left on the disk."""
    def machine(disk, path):
        return pc("--firmware", firmware, "--kernel", kernel("amd64"), "--initrd", prepared("quick-amd64.img"), "--append",
                  "console=ttyS0 quiet no_console_suspend", "--control", path, "--cpus", str(cpus), "--disk", disk)

    def test():
        with tempfile.TemporaryDirectory() as d:
            path, disk = os.path.join(d, "qmp"), os.path.join(d, "disk")
            with open(disk, "wb") as f:
                f.truncate(1 << 30)
            with machine(disk, path) as m:
                q = Qmp(path)
                q.execute("qmp_capabilities")
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                out, _ = m.run("cat /sys/power/state /sys/power/disk; dmesg | grep 'PM: .supports'", 60)
                check("[platform]" in out and "S0 S3 S4 S5" in out, "the kernel knows no hibernation by ACPI:\n" + out)
                out, _ = m.run(COUNT + "sleep 5; echo kept in RAM > /tmp/note; free", 60)
                before = counted(m)
                m.send(FALL_TO_DISK)
                q.socket.settimeout(WRITE_S * PATIENCE)
                q.expect_event("SUSPEND_DISK")
                check(not q.events, f"before it: {q.events}")
                q.expect_event("SHUTDOWN")
                ends_well(m)
            with machine(disk, path) as m:
                m.expect(SHELL, BOOT_S)
                m.expect(PROMPT, 60)
                m.run("echo of the second boot > /tmp/note", 60)
                m.send("cat /sys/class/block/vda/dev > /sys/power/resume; echo not res''umed\n")
                check(m.expect(r"back (\d+)|not resumed", WAKE_S).group(1) == "0", "it did not go on where it was")
                m.expect(PROMPT, 60)
                after = counted(m)
                check(before <= after < before + 60, f"it counted {before} before and {after} after")
                out, _ = m.run(f"cat /tmp/note; grep -c ^processor /proc/cpuinfo; sleep 3; swapoff /dev/vda; echo off $?; dmesg | grep 'PM: hibernation'", 60)
                check("kept in RAM" in out and f"\n{cpus}\n" in out and "off 0" in out, "it is not what it was:\n" + out)
                check(counted(m) > after, "the process does not run on")
                m.send("poweroff -f\n")
                ends_well(m)
    return test


def not_offered():
    with pc("--kernel", kernel("amd64"), "--initrd", prepared("quick-amd64.img"), "--append", "console=ttyS0 quiet", "--no-s3", "--no-s4") as m:
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        out, _ = m.run("cat /sys/power/disk; dmesg | grep 'PM: .supports'", 60)
        check("platform" not in out and "(supports S0 S5)" in out, "what was not offered is there:\n" + out)
        m.send("poweroff -f\n")
        ends_well(m)


SHORT = [("clock", sleep("bios", by_clock)), ("uefi command 2 cpus", sleep("uefi", by_command, cpus=2))]
LONG = [
    ("button", sleep("bios", by_button)),
    ("key", sleep("bios", by_key)),
    ("command", sleep("bios", by_command)),
    ("clock 4 cpus amd64", sleep("bios", by_clock, "amd64", 4)),
    ("clock 686-pae", sleep("bios", by_clock, "686-pae")),
    ("uefi clock", sleep("uefi", by_clock)),
    ("hibernation", hibernate("bios")),
    ("hibernation uefi 2 cpus", hibernate("uefi", 2)),
    ("not offered", not_offered),
    ("many devices", sleep("bios", by_clock, more=("--video", "std", "--usb", "tablet", "--net", "user", "--rng", "--balloon",
                                                   "--root-ports", "2", "--watchdog", "none"))),
]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

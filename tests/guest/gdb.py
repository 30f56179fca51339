#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real gdb on the stub of panal-vmm (--gdb), with the guest sys64 under soft and, where it works, KVM.

    tests/guest/gdb.py [soft|kvm]...
"""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PANAL_BUILD", os.path.join(ROOT, "build"))
GUEST = os.path.join(BUILD, "tests/guest/system/sys64.elf")
TIMEOUT_S = 90

# name, vCPUs, commands for gdb, what must be in its output in this order
CASES = (
    ("threads", 2, ["info threads", "thread 2", "printf \"mode %d\\n\", $cr0 & 1", "thread 1"],
     ["vCPU 0", "vCPU 1", "mode 0"]),
    ("breakpoint, registers, memory", 1,
     ["hbreak main", "continue", "backtrace 1", "set $rbx = 0x1234567", "printf \"rbx %x\\n\", $rbx",
      "set {int}0x600000 = 0x55aa", "printf \"memory %x\\n\", {int}0x600000", "set $xmm3.v4_int32[0] = 77",
      "printf \"xmm %d\\n\", $xmm3.v4_int32[0]", "printf \"cr0 %d\\n\", $cr0 & 1", "monitor info registers"],
     ["main", "#0", "rbx 1234567", "memory 55aa", "xmm 77", "cr0 1", "k_gs_base"]),
    ("software breakpoint, step, finish", 1,
     ["hbreak main", "continue", "delete", "break print", "continue", "stepi", "nexti",
      "printf \"here %lx\\n\", $rip", "x/i $rip", "finish", "printf \"after finish\\n\"", "detach"],
     ["main", "print", "here", "after finish", "detached"]),
    ("watchpoint", 1,
     ["hbreak main", "continue", "delete", "set $r12 = 0x1234", "set $here = (long)$rsp - 8", "eval \"watch *(long *)%ld\", $here", "continue",
      "printf \"watched\\n\""],
     ["main", "atchpoint", "Old value", "watched"]),
)


def gdb(accel, cpus, commands):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "gdb")
        vmm = subprocess.Popen(
            [os.path.join(BUILD, "panal-vmm"), GUEST, "--accel", accel, "--memory", "256M", "--cpus", str(cpus), "--net", "none",
             "--no-reboot", "--serial", "none", "--gdb", "unix:" + path, "--paused"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            while not os.path.exists(path) and vmm.poll() is None:
                pass
            if vmm.poll() is not None:
                return vmm.stdout.read().decode()
            args = ["gdb", "-nx", "-batch", GUEST, "-ex", "set confirm off", "-ex", "target remote " + path]
            for command in commands:
                args += ["-ex", command]
            done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT_S, check=False)
            return done.stdout.decode("utf-8", "replace")
        except subprocess.TimeoutExpired as e:
            return (e.stdout or b"").decode("utf-8", "replace") + f"\nno end after {TIMEOUT_S} s"
        finally:
            vmm.kill()
            vmm.wait()


def missing(text, wanted):
    at = 0
    for word in wanted:
        found = text.find(word, at)
        if found < 0:
            return word
        at = found + len(word)
    return None


def main():
    if not shutil.which("gdb"):
        print("SKIPPED: gdb is not installed")
        return 77
    accels = sys.argv[1:] or ["soft"] + (["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else [])
    passed = failed = 0
    for accel in accels:
        for name, cpus, commands, wanted in CASES:
            text = gdb(accel, cpus, commands)
            word = missing(text, wanted)
            passed, failed = passed + (word is None), failed + (word is not None)
            print(f"{'ok' if word is None else 'FAILED'} {accel}: {name}")
            if word is not None:
                print(f"no {word!r} in:\n{text}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel whose KVM offers less than this one's: each call to KVM refused in turn, each extension missing in turn, then all
of them. Every time the guest runs to its end, or one line says what was refused.

    tests/guest/kvm_refuses.py [NAME...]
"""

import os
import subprocess
import sys

from machine import BUILD, Failure, Skip, run_tests

SHIM = os.path.join(BUILD, "tests/guest/system/kvm-refuses.so")
GUEST = os.path.join(BUILD, "tests/guest/system/exit.elf")  # writes a dot and leaves with status 1
CALLS_MAX = 2000
EXTENSIONS = 256  # of linux/kvm.h, with some to come


def check(condition, text):
    if not condition:
        raise Failure(text)


def run(accel, **refused):
    """Whether something was refused, whether the guest ran to its end, and what was said."""
    env = os.environ | {"LD_PRELOAD": SHIM} | {"KVM_REFUSES_" + k.upper(): str(v) for k, v in refused.items()}
    try:
        done = subprocess.run([os.path.join(BUILD, "panal-vmm"), GUEST, "--accel", accel, "--memory", "128M", "--serial", "stdio"],
                              stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{accel}, {refused} refused: no end") from None
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line != "kvm-refuses"]
    errors = [line for line in lines if line.startswith("panal-vmm: error: ")]
    what = f"{accel}, {refused} refused: status {done.returncode}, {done.stdout}, {lines}"
    check(done.returncode == 1 and len(errors) <= 1, what)
    check(all(line.startswith("panal-vmm: ") for line in lines), what)
    check(errors or done.stdout == b".", what)
    return b"kvm-refuses" in done.stderr, not errors, lines


def usable():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("/dev/kvm is missing or not accessible here")


def calls(accel):
    def test():
        usable()
        went_on = 0
        for n in range(CALLS_MAX):
            hit, good, _ = run(accel, call=n)
            if not hit:
                break
            went_on += good
        check(20 < n < CALLS_MAX, f"{n} calls to KVM were refused")
        check(went_on > 0, "no call is one that can be done without")
    return test


def extensions():
    usable()
    hits, fatal = 0, []
    for n in range(EXTENSIONS):
        hit, good, _ = run("kvm,split=off", extension=n)
        hits += hit
        fatal += [] if good else [n]
    check(hits > 20, f"only {hits} extensions are asked for")
    check(len(fatal) < hits // 2, f"without extensions {fatal} no guest runs")


def nothing():
    """No extension at all: both accelerators are named, and auto takes the other one."""
    usable()
    _, good, lines = run("kvm,split=off", extension=-1)
    check(not good and "soft" in lines[-1], f"{lines}")
    _, good, lines = run("auto", extension=-1)
    check(good, f"auto on such a kernel: {lines}")


TESTS = [("each call", calls("kvm,split=off")), ("each call, own interrupt controllers", calls("kvm,split=off,irqchip=off")),
         ("each call, user code alone", calls("kvm,split=on")), ("each extension", extensions), ("no extension", nothing)]

if __name__ == "__main__":
    sys.exit(run_tests([t for t in TESTS if not sys.argv[1:] or any(n in t[0] for n in sys.argv[1:])]))

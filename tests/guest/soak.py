#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest under load for a named time: it compiles, compresses, forks, computes, fetches from the network and writes to a
disk on 4 vCPUs, and compares all results with the host's; the kernel's log is watched for anything untoward.

    tests/guest/soak.py [--minutes 20] [--cpus 4] [--jobs compile,disk] [MODE...]

Modes, each for that time; all of them when none is named:
    plain        the translator as users have it
    tiny         with 512 KiB of translated code: it is flushed without end
    interrupts   back to the loop after each block, and a spurious interrupt there: the guest is a hundred times slower
    each         back to the loop after each block
    interpreter  without the translator
    kvm          under KVM

Needs tools/guest/prepare --bench. An hour of plain, tiny and interrupts each: --minutes 60 plain tiny interrupts
"""

import argparse
import hashlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from machine import GUEST, Failure, Machine, prepared, run_tests

MODES = {
    "plain": "soft,translate=on",
    "tiny": "soft,translate=on,hot=4,cache=512K",
    "interrupts": "soft,translate=on,interrupt=0xfd,interrupt-every=1",
    "each": "soft,translate=on,chain=off",
    "interpreter": "soft,translate=off",
    "kvm": "kvm",
}
# What a healthy guest's kernel does not say.
TROUBLE = re.compile(r"soak \S+ BAD|BUG:|Oops|Kernel panic|general protection|segfault|traps:|invalid opcode|stall|soft lockup|"
                     r"hard LOCKUP|hung_task|blocked for more|Call Trace|unable to handle|Bad page|corrupt|I/O error|EXT4-fs error|"
                     r"clocksource: .*unstable|double fault|spurious APIC|Illegal instruction|Segmentation fault|Aborted")
BOOT_S = 600
SLACK_S = 1800 # for turns under way when the time is up, in the slowest mode


class Numbers(http.server.BaseHTTPRequestHandler):
    body = hashlib.sha512(b"soak").digest() * 32768

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        try:
            self.wfile.write(self.body)
        except OSError:
            pass  # the guest's affair

    def log_message(self, *args):
        pass


def reference():
    """Results of the jobs on this host's own processor."""
    root = os.path.join(GUEST, "bench-root")
    script = (f'mount --rbind /dev "{root}/dev" && mount --rbind /proc "{root}/proc" && mount -t tmpfs tmpfs "{root}/tmp" && '
              f'exec chroot "{root}" /bench/soak reference')
    done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=300)
    sums = dict(line.split() for line in done.stdout.splitlines() if line.count(" ") == 1)
    if done.returncode or len(sums) < 5:
        raise Failure(f"the host's own results: {done.stdout} {done.stderr}")
    return sums


def watch(m, seconds, verbose):
    """Turns of each job; fails on the first line that tells of trouble."""
    turns, at, deadline = {}, 0, time.monotonic() + BOOT_S + seconds + SLACK_S
    while True:
        with m.condition:
            text = m.text
            alive = m.reader.is_alive()
        lines = text[at:].split("\n")
        at = len(text) - len(lines[-1])
        for line in lines[:-1]:
            if verbose:
                print(f"    {time.monotonic() - m.start:7.1f} {line.rstrip()}", flush=True)
            if TROUBLE.search(line):
                time.sleep(5)  # for what the kernel still has to say
                raise Failure(f"after {time.monotonic() - m.start:.0f} s, {turns}: {line}\n{m.tail(60)}")
            found = re.search(r"soak (\S+) ok (\d+)", line)
            if found:
                turns[found[1]] = int(found[2])
            if "soak ended" in line:
                return turns
        if not alive or time.monotonic() > deadline:
            raise Failure(f"{'no end' if alive else 'the machine ended'} after {time.monotonic() - m.start:.0f} s, {turns}:\n{m.tail(60)}")
        time.sleep(1)


def soak(mode, args, sums):
    def test():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Numbers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sums["network"] = hashlib.sha256(Numbers.body).hexdigest()[:16]
        sums["disk"] = "same"
        seconds = int(args.minutes * 60)
        append = (f"console=ttyS0 quiet panal.run=/bench/soak panal.seconds={seconds} panal.http={server.server_address[1]} "
                  + (f"panal.jobs={args.jobs} " if args.jobs else "") + " ".join(f"panal.sum.{k}={v}" for k, v in sums.items()))
        with tempfile.TemporaryDirectory() as d:
            image = os.path.join(d, "disk.raw")
            subprocess.run(["mke2fs", "-q", "-t", "ext4", image, "256M"], check=True)
            with Machine("--kernel", prepared("kernel-cloud-amd64/vmlinuz"), "--initrd", prepared("bench-cloud-amd64.img"),
                         "--memory", "1536M", "--cpus", str(args.cpus), "--disk", image, "--net", "user", "--append", append,
                         accel=MODES[mode]) as m:
                turns = watch(m, seconds, args.verbose)
                status = m.wait(120)
                if status:
                    raise Failure(f"panal-vmm ended with status {status}\n{m.tail()}")
            fsck = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
            if fsck.returncode:
                raise Failure(f"e2fsck: {fsck.stdout}")
        wanted = set((args.jobs or ",".join(sums)).split(","))
        print(f"    {mode}: " + ", ".join(f"{k} {v}" for k, v in sorted(turns.items())), flush=True)
        if set(turns) != wanted:
            raise Failure(f"no turn of {', '.join(sorted(wanted - set(turns)))}; give it more time")
        server.shutdown()
    return test


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--minutes", type=float, default=20)
    ap.add_argument("--cpus", type=int, default=4)
    ap.add_argument("--verbose", action="store_true", help="show what the guest says")
    ap.add_argument("--jobs", help="compile,compress,forks,python,programs,network,disk")
    ap.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(MODES))
    args = ap.parse_args()
    unknown = set(args.modes) - set(MODES)
    if unknown:
        sys.exit(f"soak: no mode {', '.join(unknown)}; there are {', '.join(MODES)}")
    modes = args.modes or [m for m in MODES if m != "kvm" or os.access("/dev/kvm", os.R_OK | os.W_OK)]
    sums = reference()
    return run_tests([(f"soak {m}, {args.cpus} cpus, {args.minutes:g} minutes", soak(m, args, sums)) for m in modes])


if __name__ == "__main__":
    sys.exit(main())

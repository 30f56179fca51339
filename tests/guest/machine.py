# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine under test: panal-vmm with its serial port on a pipe, and what it says, with the host's time of each line."""

import os
import re
import subprocess
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PANAL_BUILD", os.path.join(ROOT, "build"))
# What "soft" means in the tests: "soft,translate=off" runs them without the translator.
SOFT = os.environ.get("PANAL_SOFT", "soft")
# What machines say is added to this file as it comes, for whoever watches a long test.
TEE = os.environ.get("PANAL_TEE")
# How many times longer than a quiet host needs may everything take: for hosts with other work.
PATIENCE = float(os.environ.get("PANAL_PATIENCE", "1"))
GUEST = os.environ.get("PANAL_GUEST", os.path.join(ROOT, "build", "guest"))


class Failure(Exception):
    """A check that did not hold; the text is for people."""


class Skip(Exception):
    """What this host cannot show; the text says why."""


class Machine:
    def __init__(self, *args, accel="soft", program="panal-vmm"):
        self.start_process([os.path.join(BUILD, program), *(["run"] if program == "panal" else []), "--accel", SOFT if accel == "soft" else accel, "--serial", "stdio", *args])

    def start_process(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.start = time.monotonic()
        self.text = ""
        self.times = []  # (offset in text, seconds since start)
        self.at = 0  # how far expect has read
        self.condition = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self.condition:
                if data:
                    self.times.append((len(self.text), time.monotonic() - self.start))
                    self.text += data.decode("utf-8", "replace")
                    if TEE:
                        with open(TEE, "ab") as f:
                            f.write(data)
                self.condition.notify_all()
            if not data:
                return

    def expect(self, pattern, timeout):
        """Waits until the pattern appears after what was matched before; gives the match."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + timeout * PATIENCE
        with self.condition:
            while True:
                found = regex.search(self.text, self.at)
                if found:
                    self.at = found.end()
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    why = "no" if left <= 0 else "the machine ended before"
                    raise Failure(f"{why} {pattern!r} after {time.monotonic() - self.start:.0f} s; the last it said:\n{self.tail()}")
                self.condition.wait(min(left, 1))

    def time_of(self, offset):
        """Host seconds at which the byte at this offset of the output arrived."""
        return max((t for o, t in self.times if o <= offset), default=0.0)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def run(self, command, timeout=60):
        """Runs a shell command in the guest; gives its output and status."""
        number = time.monotonic_ns() % 1000003
        # The two quotes keep the echo of the command line apart from its output.
        self.send(f"echo be''gin{number}; {command}; echo e''nd{number} $?\n")
        begin = self.expect(f"begin{number}\r*\n", timeout).end()
        found = self.expect(rf"end{number} (\d+)", timeout)
        return self.text[begin:found.start()].replace("\r", ""), int(found.group(1))

    def wait(self, timeout):
        """Waits for the process to end; gives its exit status."""
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"the machine still runs after {timeout} s; the last it said:\n{self.tail()}") from None
        self.reader.join(5)
        return status

    def tail(self, lines=25):
        return "\n".join("    | " + l for l in self.text.splitlines()[-lines:])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def prepared(*names):
    """Paths of prepared guest files; skips when they were not made (tools/guest/prepare)."""
    paths = [os.path.join(GUEST, n) for n in names]
    for p in paths:
        if not os.path.exists(p):
            raise Skip(f"{p} is missing; tools/guest/prepare makes it")
    return paths if len(paths) > 1 else paths[0]


def where(error):
    """The last line of the tests' own that an error came through."""
    here = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(ROOT)]
    return f"{os.path.basename(here[-1].filename)}:{here[-1].lineno}" if here else "a place unknown"


def run_tests(tests):
    """tests: (name, function) pairs. Prints a line each and the sum; gives the exit status."""
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name, function in tests:
        begin = time.monotonic()
        try:
            # A function that makes tests, given in place of the test that it makes, would run nothing.
            if function() is not None:
                raise Failure("it gives something back: was it run?")
            result, why = "passed", ""
        except Skip as skip:
            result, why = "skipped", str(skip)
        except Failure as failure:
            result, why = "failed", str(failure)
        except Exception as error:  # of any kind: what comes after it is to be run, too
            result, why = "failed", f"{error!r}, at {where(error)}"
        count[result] += 1
        print(f"{result.upper():8} {name} ({time.monotonic() - begin:.1f} s){': ' if why else ''}{why}", flush=True)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped", flush=True)
    return 1 if count["failed"] else 0

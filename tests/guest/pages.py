#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of docs/guests as they stand there, page by page in an empty folder: files are made and packages fetched, and each
machine is built by its own command line up to its first instruction (--dry-run). That the guests then run is what the other
tests show.

    tests/guest/pages.py            all pages
    tests/guest/pages.py NAME...    those whose name contains one of these
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from machine import BUILD, GUEST, ROOT, Failure, Skip, prepared, run_tests

PAGES = os.path.join(ROOT, "docs/guests")
# What the reader has as panal, and what was prepared before.
HEAD = """set -eu
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
panal() {
	[ "$1" = run ]
	shift
	"$PROGRAM" run --dry-run "$@" </dev/null
	echo "a machine: $*"
}
"""


def blocks(page):
    with open(page, encoding="utf-8") as f:
        return re.findall(r"^```sh\n(.*?)^```", f.read(), re.M | re.S)


def script(page):
    """All of the page's commands, but for what makes the prepared guests and for dialogues."""
    lines = "".join(blocks(page)).splitlines()
    return HEAD + "".join(l + "\n" for l in lines if not re.match(r"tools/guest/prepare\b", l))


def wanted(text):
    """The prepared files that the page uses."""
    return sorted(set(re.findall(r"build/guest/(\S+)", text)))


def page(path):
    def test():
        text = script(path)
        machines = len(re.findall(r"^panal run", text, re.M))
        if not machines:
            raise Failure("no command that runs a machine")
        prepared(*wanted(text), "quick-cloud-amd64.img")
        for program in ("grub-mkrescue", "xorriso", "mcopy"):
            if not shutil.which(program):
                raise Skip(f"{program} is missing; tools/install-deps --test")
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            os.makedirs(os.path.join(d, "build"))
            os.symlink(os.path.abspath(GUEST), os.path.join(d, "build/guest"))
            with subprocess.Popen(["bash", "-c", text], cwd=d, env=dict(os.environ, PROGRAM=os.path.join(BUILD, "panal")), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as shell:
                try:
                    out = shell.communicate(timeout=300)[0].decode("utf-8", "replace")
                except subprocess.TimeoutExpired:
                    raise Failure("no end after 300 s") from None
                finally:
                    try:
                        os.killpg(shell.pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        if re.search(r"^E: (Unable to|Failed to fetch|Could not)", out, re.M):
            raise Skip("the packages cannot be had: " + out[-200:])
        if shell.returncode or out.count("a machine: ") != machines:
            raise Failure(f"status {shell.returncode} after {out.count('a machine: ')} of {machines} machines:\n{out[-900:]}")
    return test


if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    pages = sorted(p for p in glob.glob(os.path.join(PAGES, "*.md")) if not p.endswith("README.md"))
    tests = [(os.path.basename(p)[:-3], page(p)) for p in pages]
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

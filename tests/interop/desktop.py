#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virt-manager and virt-viewer of Debian on panald, on a screen of Xvfb that Tesseract reads.

    tests/interop/desktop.py [--shots DIR]        --shots: keep the pictures there
"""

import os
import shutil
import subprocess
import sys
import time

from panald import PATIENCE, Failure, Panald, domain_xml, expect, run_tests

PROGRAMS = ("Xvfb", "dbus-run-session", "virt-manager", "virt-viewer", "import", "convert", "tesseract")
READ_S = 90 * PATIENCE
SHOTS = sys.argv[2] if len(sys.argv) > 2 and sys.argv[1] == "--shots" else None


class Screen:
    """A screen of its own, and what can be read on it."""

    def __init__(self, p):
        self.p = p
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as f:
            number = f.readline().strip()
        home = p.path("home")
        for name in (home, home + "/run"):
            os.makedirs(name, mode=0o700, exist_ok=True)
        self.environment = dict(os.environ, DISPLAY=":" + number, HOME=home, XDG_RUNTIME_DIR=home + "/run", NO_AT_BRIDGE="1",
                                LC_ALL="C.UTF-8", GTK_THEME="Adwaita")
        self.client = None

    def start(self, *command):
        log = open(self.p.path("client.log"), "wb")
        self.client = subprocess.Popen(["dbus-run-session", *command], env=self.environment, stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL, start_new_session=True)

    def text(self, name):
        shot = os.path.join(SHOTS or self.p.dir, name + ".png")
        large = self.p.path("large.png")
        for command in (["import", "-window", "root", shot], ["convert", shot, "-resize", "300%", large]):
            subprocess.run(command, env=self.environment, check=True, timeout=60 * PATIENCE, capture_output=True)
        text = ""
        for more in ([], ["-negate"]):  # dark windows, too
            subprocess.run(["convert", large, *more, large], check=True, timeout=60 * PATIENCE)
            text += subprocess.run(["tesseract", large, "-", "--psm", "11"], capture_output=True, text=True, timeout=120 * PATIENCE,
                                   check=True).stdout
        return text

    def expect(self, name, *words):
        deadline = time.monotonic() + READ_S
        while True:
            text = self.text(name)
            if all(word in text for word in words):
                return
            if time.monotonic() > deadline:
                with open(self.p.path("client.log"), encoding="utf-8", errors="replace") as f:
                    raise Failure(f"{words} not on the screen: {text!r}; {f.read()[-600:]}")
            time.sleep(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.client:
            os.killpg(self.client.pid, 15)
            self.client.wait(20 * PATIENCE)
        self.server.terminate()
        self.server.wait(20 * PATIENCE)


def machines(p):
    for name in ("alpha", "beta"):
        path = p.path(name + ".xml")
        with open(path, "w", encoding="ascii") as f:
            f.write(domain_xml(name))
        p.virsh("define", path)
    p.virsh("start", "alpha")


def manager_lists():
    with Panald() as p, Screen(p) as s:
        machines(p)
        s.start("virt-manager", "--no-fork", "--connect", p.uri())
        s.expect("virt-manager", "QEMU", "alpha", "Running", "beta", "Shutoff")
        p.virsh("start", "beta")
        p.virsh("destroy", "alpha")
        p.virsh("undefine", "alpha")
        s.expect("virt-manager-later", "beta", "Running")
        expect("alpha" not in s.text("virt-manager-later"), "what is gone is still shown")


def manager_shows_a_console():
    with Panald() as p, Screen(p) as s:
        machines(p)
        s.start("virt-manager", "--no-fork", "--connect", p.uri(), "--show-domain-console", "alpha")
        s.expect("virt-manager-console", "BusyBox")


def viewer_offers():
    with Panald() as p, Screen(p) as s:
        machines(p)
        p.virsh("start", "beta")
        s.start("virt-viewer", "-c", p.uri())
        s.expect("virt-viewer", "Available virtual machines", "beta")


TESTS = [(f.__name__.replace("_", " "), f) for f in (manager_lists, manager_shows_a_console, viewer_offers)]

if __name__ == "__main__":
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        print(f"missing: {', '.join(missing)}; tools/install-deps --desktop")
        sys.exit(77)
    sys.exit(run_tests(TESTS))

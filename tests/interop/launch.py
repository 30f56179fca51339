#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panal launch, shell, clone, delete and undelete with a whole Debian; minutes, where there is no KVM.

    tests/interop/launch.py
"""

import json
import os
import subprocess
import sys
import tempfile

from panald import BUILD, PATIENCE, Failure, Panald, expect, expect_equal, run_tests, wait_for

READY_S = 900


class Tool:
    def __init__(self, p, data):
        self.environment = dict(os.environ, PANAL_URI=p.uri("virtpanald-sock"), PANAL_DATA=data, LC_ALL="C.UTF-8")

    def __call__(self, *args, status=0):
        try:
            done = subprocess.run([os.path.join(BUILD, "panal"), *args], capture_output=True, text=True, timeout=READY_S * PATIENCE,
                                  stdin=subprocess.DEVNULL, env=self.environment)
        except subprocess.TimeoutExpired:
            raise Failure(f"panal {' '.join(args)} hangs") from None
        if done.returncode != status:
            raise Failure(f"panal {' '.join(args)}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def answers(self, name):
        return subprocess.run([os.path.join(BUILD, "panal"), "shell", name, "true"], stdin=subprocess.DEVNULL,
                              env=self.environment, timeout=READY_S * PATIENCE, capture_output=True, check=False).returncode == 0


def from_nothing():
    """One command to a machine that is reached by ssh; a clone is another machine; what was deleted comes back."""
    with Panald() as p, tempfile.TemporaryDirectory(prefix="panal-data-") as data:
        panal = Tool(p, data)
        out = panal("launch", "debian", "web1", "--disk", "8G")
        expect("ssh answers" in out and "panal shell web1" in out, out)
        out = panal("shell", "web1", "hostname; id -un; sudo id -un; df --output=size -B1G / | tail -1; cat /etc/machine-id")
        words = out.split()
        expect_equal((words[0], words[2], words[3]), ("web1", "root", "8"), out)
        expect("already" in panal("launch", "debian", "web1", status=1), "the same name twice")
        panal("shell", "web1", "echo kept >kept; sync")
        expect("runs" in panal("clone", "web1", "web2", status=1), "a clone of what runs")
        with open(os.path.join(data, "here"), "w", encoding="ascii") as f:
            f.write("from here")
        panal("cp", os.path.join(data, "here"), "web1:there")
        panal("shell", "web1", "cat there /etc/hostname >both")
        panal("cp", "web1:both", os.path.join(data, "back"))
        with open(os.path.join(data, "back"), encoding="ascii") as f:
            expect_equal(f.read(), "from hereweb1\n", "what came back")
        out = panal("stop", "web1")
        expect("the guest has switched off" in out, out)

        panal("clone", "web1", "web2")
        rows = {row["name"]: row for row in json.loads(panal("ls", "--json"))}
        expect_equal(sorted(rows), ["web1", "web2"], "names")
        panal("start", "web1", "web2")
        wait_for("both", lambda: panal.answers("web1") and panal.answers("web2"), READY_S)
        rows = {row["name"]: row for row in json.loads(panal("ls", "--json"))}
        expect(rows["web1"]["ssh-port"] != rows["web2"]["ssh-port"], "one port for two")
        expect_equal(panal("shell", "web2", "hostname; cat kept").split(), ["web2", "kept"], "the clone")
        keys = [panal("shell", name, "cat /etc/ssh/ssh_host_ed25519_key.pub") for name in ("web1", "web2")]
        expect(keys[0].split()[1] != keys[1].split()[1], "the clone has the same host key")

        panal("delete", "--force", "web2")
        expect_equal([row["name"] for row in json.loads(panal("ls", "--json"))], ["web1"], "names after delete")
        panal("undelete", "web2")
        panal("start", "web2")
        wait_for("web2", lambda: panal.answers("web2"), READY_S)
        panal("delete", "--force", "--purge", "web1", "web2")
        expect_equal(json.loads(panal("ls", "--json")), [], "names after all")
        expect_equal(os.listdir(os.path.join(data, "machines")) + os.listdir(os.path.join(data, "trash")), [], "left over")


TESTS = [("from nothing", from_nothing)]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))

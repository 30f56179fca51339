#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pacemaker's agent for machines, VirtualDomain of Debian's resource-agents, on panald: it asks through virsh, and a
cluster believes its exit codes.

    tests/interop/cluster.py
"""

import os
import subprocess
import sys

from panald import PATIENCE, Failure, Panald, domain_xml, expect, expect_equal, run_tests, wait_for

ROOT = "/usr/lib/ocf"
AGENT = ROOT + "/resource.d/heartbeat/VirtualDomain"
SUCCESS, ERR_ARGS, ERR_INSTALLED, NOT_RUNNING = 0, 2, 5, 7  # of the Open Cluster Framework


class Resource:
    """A machine as the cluster has it."""

    def __init__(self, p, name, **parameters):
        self.state = p.path("cluster")
        os.makedirs(self.state, exist_ok=True)
        self.config = os.path.join(self.state, name + ".xml")
        with open(self.config, "w", encoding="ascii") as f:
            f.write(domain_xml(name).replace("<name>", "\n<name>").replace("</name>", "</name>\n"))  # a line of its own, as virsh writes
        self.environment = dict(os.environ, OCF_ROOT=ROOT, OCF_RESOURCE_INSTANCE=name, HA_RSCTMP=self.state,
                                OCF_RESKEY_config=self.config, OCF_RESKEY_hypervisor=p.uri(), OCF_RESKEY_CRM_meta_timeout="20000",
                                OCF_RESKEY_autoset_utilization_cpu="false", OCF_RESKEY_autoset_utilization_hv_memory="false",
                                OCF_RESKEY_autoset_utilization_host_memory="false", HA_logfile=os.path.join(self.state, "log"))
        self.environment.update({"OCF_RESKEY_" + key: value for key, value in parameters.items()})

    def __call__(self, action, status):
        try:
            done = subprocess.run([AGENT, action], env=self.environment, capture_output=True, text=True, timeout=150 * PATIENCE,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"{action} hangs") from None
        if done.returncode != status:
            raise Failure(f"{action}: status {done.returncode}, not {status}: {(done.stdout + done.stderr)[-800:]}")
        return done.stdout + done.stderr


def life():
    """Start, monitor and stop, each twice, as a cluster does. The guest does not react to the button: it is pulled."""
    with Panald() as p:
        r = Resource(p, "service")
        r("monitor", NOT_RUNNING)
        r("start", SUCCESS)
        expect("running" in p.virsh("domstate", "service"), "not running after start")
        r("monitor", SUCCESS)
        r("start", SUCCESS)
        expect_equal(p.virsh("list", "--name").split(), ["service"], "started twice")
        r("validate-all", SUCCESS)
        r("stop", SUCCESS)
        r("monitor", NOT_RUNNING)
        r("stop", SUCCESS)


def failures():
    """A machine that died is seen, started again; a daemon that was killed disturbs nothing."""
    with Panald() as p:
        r = Resource(p, "service", force_stop="true")
        r("start", SUCCESS)
        os.kill(p.engines()[0], 9)
        wait_for("the end of the process", lambda: not p.engines(), 10)
        r("monitor", NOT_RUNNING)
        r("start", SUCCESS)
        p.restart()
        r("monitor", SUCCESS)
        r("stop", SUCCESS)
        r("monitor", NOT_RUNNING)
        os.unlink(r.config)
        r("start", ERR_INSTALLED)


TESTS = [("life", life), ("failures", failures)]

if __name__ == "__main__":
    if not os.access(AGENT, os.X_OK):
        print("resource-agents is missing; tools/install-deps --test")
        sys.exit(77)
    sys.exit(run_tests(TESTS))

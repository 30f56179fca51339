#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Network boot: SeaBIOS runs the card's option ROM (iPXE), which loads Debian's kernel by TFTP or by HTTP.

    tests/guest/netboot.py              the short selection of ./check
    tests/guest/netboot.py --all        everything
    tests/guest/netboot.py NAME...      those whose name contains one of these
"""

import functools
import http.server
import os
import shutil
import sys
import tempfile
import threading

from linux import BOOT_S, PROMPT, SHELL, check, ends_well, kernel
from machine import Machine, Skip, prepared, run_tests

ROMS = "/usr/lib/ipxe/qemu"
FLAVOUR = "cloud-amd64"
SCRIPT = """#!ipxe
echo booted by ${{net0/chip}}
kernel {base}/vmlinuz console=ttyS0 initrd=initrd.img panal.from={base}
initrd {base}/initrd.img
boot
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def folder(directory, base):
    shutil.copy(kernel(FLAVOUR), directory)
    shutil.copy(prepared(f"quick-{FLAVOUR}.img"), os.path.join(directory, "initrd.img"))
    with open(os.path.join(directory, "boot.ipxe"), "w", encoding="ascii") as f:
        f.write(SCRIPT.format(base=base))
    # the helper reads it with nobody's rights when it is started by root
    os.chmod(directory, 0o755)
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)


def boots(net, base, firmware="bios"):
    with Machine("--board", "pc", "--firmware", firmware, "--memory", "512M", "--net", net) as m:
        m.expect(r"iPXE", 120)
        m.expect(r"Linux version|booted by", BOOT_S)
        m.expect(SHELL, BOOT_S)
        m.expect(PROMPT, 60)
        out, _ = m.run("cat /proc/cmdline", 60)
        check(f"panal.from={base}" in out, f"the kernel has another command line: {out}")
        m.send("poweroff -f\n")
        ends_well(m)


def tftp(model, firmware="bios"):
    def test():
        if not os.path.exists(ROMS):
            raise Skip("the package ipxe-qemu is not installed")
        with tempfile.TemporaryDirectory() as d:
            folder(d, "tftp://10.0.2.2")
            boots(f"user,model={model},tftp={d},bootfile=boot.ipxe", "tftp://10.0.2.2", firmware)
    return test


def web(model, firmware="bios"):
    def test():
        if not os.path.exists(ROMS):
            raise Skip("the package ipxe-qemu is not installed")
        with tempfile.TemporaryDirectory() as d:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=d))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            base = f"http://10.0.2.2:{server.server_address[1]}"
            folder(d, base)
            try:
                boots(f"user,model={model},bootfile={base}/boot.ipxe", base, firmware)
            finally:
                server.shutdown()
    return test


SHORT = [("tftp e1000", tftp("e1000"))]
LONG = [("tftp uefi", tftp("e1000", "uefi")), ("http virtio", web("virtio")), ("tftp rtl8139", tftp("rtl8139")), ("tftp e1000e", tftp("e1000e")), ("tftp virtio", tftp("virtio")), ("http e1000", web("e1000"))]

if __name__ == "__main__":
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    tests = SHORT + LONG if names or "--all" in sys.argv else SHORT
    sys.exit(run_tests([t for t in tests if not names or any(n in t[0] for n in names)]))

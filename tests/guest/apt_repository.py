# SPDX-License-Identifier: GPL-2.0-or-later
"""An apt repository of one small package on this host, for guests that shall use apt over their network."""

import functools
import hashlib
import http.server
import os
import subprocess
import threading

NAME, VERSION, WORD = "panal-hello", "1.0", "hello from the package"
CONTROL = f"""Package: {NAME}
Version: {VERSION}
Architecture: all
Maintainer: Panal <root@localhost>
Description: says a word
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def make(folder):
    """The .deb and the two indexes of a flat repository."""
    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "DEBIAN"))
    os.makedirs(os.path.join(root, "usr", "bin"))
    with open(os.path.join(root, "DEBIAN", "control"), "w", encoding="utf-8") as f:
        f.write(CONTROL)
    program = os.path.join(root, "usr", "bin", NAME)
    with open(program, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\necho {WORD}\n")
    os.chmod(program, 0o755)
    deb = f"{NAME}_{VERSION}_all.deb"
    served = os.path.join(folder, "served")
    os.makedirs(served)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, os.path.join(served, deb)], check=True, stdout=subprocess.DEVNULL)
    data = open(os.path.join(served, deb), "rb").read()
    packages = f"{CONTROL}Filename: ./{deb}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n".encode()
    with open(os.path.join(served, "Packages"), "wb") as f:
        f.write(packages)
    with open(os.path.join(served, "Release"), "w", encoding="utf-8") as f:
        f.write("Origin: Panal\nSuite: test\nArchitectures: all amd64\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
                f"SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n")
    return served


class Repository:
    """Serves the repository on a port of 127.0.0.1 while it is entered."""

    def __init__(self, folder):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=make(folder)))
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

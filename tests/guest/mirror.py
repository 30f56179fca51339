# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian mirror on this host for guests: it hands on what the host's own mirror has, and keeps the packages."""

import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from machine import GUEST, Skip

KEPT = re.compile(r"/pool/|/by-hash/")
FETCH_S = 120


def upstream():
    """The mirror that this host's apt uses for its release."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode().split()
    plain = [u.rstrip("/") for u in said if u.startswith("http") and "security" not in u and u.rstrip("/").endswith("/debian")]
    if not plain:
        raise Skip("apt of this host has no Debian mirror, from which an installer could be served")
    return plain[0]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def refuse(self, status):
        self.server.refused.append(f"{self.path}: {status}")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.give(False)

    def do_GET(self):
        self.give(True)

    def give(self, body):
        if not self.path.startswith("/debian/") or "/../" in self.path:
            self.refuse(404)
            return
        ours = self.server.files.get(self.path[len("/debian"):])
        if ours is not None:
            self.answer(len(ours), io.BytesIO(ours) if body else None)
            return
        try:
            path = self.server.fetch(self.path[len("/debian"):])
        except urllib.error.HTTPError as error:
            self.refuse(error.code)
            return
        except OSError:
            self.refuse(502)
            return
        with self.server.count_lock:
            self.server.count += 1
        with open(path, "rb") as f:
            self.answer(os.fstat(f.fileno()).st_size, f if body else None)

    def answer(self, size, body):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if body:
            try:
                shutil.copyfileobj(body, self.wfile)
            except OSError:
                pass  # the guest's affair


class Mirror(http.server.ThreadingHTTPServer):
    """Served at http://10.0.2.2:PORT/debian to a guest with user networking; files: more of it, by path under /debian."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.source = upstream()
        self.folder = os.path.join(GUEST, "mirror")
        self.fresh = tempfile.TemporaryDirectory()
        os.makedirs(self.folder, exist_ok=True)
        self.files = {}
        self.count, self.count_lock, self.refused = 0, threading.Lock(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def fetch(self, path):
        """Gives a file with what the mirror has there. Indexes are fetched anew in each run, packages once."""
        folder = self.folder if KEPT.search(path) else self.fresh.name
        name = os.path.join(folder, hashlib.sha256(path.encode()).hexdigest())
        if not os.path.exists(name):
            with urllib.request.urlopen(self.source + path, timeout=FETCH_S) as answer:
                with tempfile.NamedTemporaryFile(dir=folder, delete=False) as f:
                    shutil.copyfileobj(answer, f)
            os.rename(f.name, name)
        return name

    def __exit__(self, *exc):
        self.shutdown()
        super().__exit__(*exc)
        self.fresh.cleanup()

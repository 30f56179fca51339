#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/procedures.md is what panald --procedures prints: procedures.py PANALD FILE [--write]"""
import subprocess
import sys

HEAD = """# The procedures of libvirt's remote protocol

Written by `tests/house/procedures.py build/panald docs/procedures.md --write` from the daemon's own table
(`src/daemon/rpc/proc.c`, which explains the letters of the signatures). *tier* is the order of building: 0 to connect and inspect,
1 a machine's life, 2 storage, networks, devices of the host, 3 statistics, tuning, snapshots, migration, 4 the rest. *there* says
what this daemon answers; everything else is answered with libvirt's error 3.

"""

table = HEAD + subprocess.run([sys.argv[1], "--procedures"], capture_output=True, text=True, check=True).stdout
if "--write" in sys.argv:
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(table)
with open(sys.argv[2], encoding="utf-8") as f:
    if f.read() != table:
        print("docs/procedures.md is not what panald --procedures says; write it anew:")
        print("    tests/house/procedures.py build/panald docs/procedures.md --write")
        sys.exit(1)

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What we write is valid by libvirt's schemas.

    tests/unit/xml/schema.py SHOW SAMPLES [SCHEMAS]

Runs `show` over every sample (NAME.xml is a domain; network-NAME.xml, pool-NAME.xml and so on are the others) and over
the documents about this host, and has xmllint check the results. Status 77 where schemas or xmllint are missing.
"""
import os
import shutil
import subprocess
import sys
import tempfile

SCHEMA = {"network": "network", "pool": "storagepool", "volume": "storagevol", "secret": "secret",
          "snapshot": "domainsnapshot", "capabilities": "capability", "domaincapabilities": "domaincaps"}
DOMAIN = ("domain", "inactive", "secure", "running")


def main():
    show, samples = sys.argv[1], sys.argv[2]
    schemas = sys.argv[3] if len(sys.argv) > 3 else "/usr/share/libvirt/schemas"
    if not shutil.which("xmllint") or not os.path.exists(schemas + "/domain.rng"):
        print("xmllint or libvirt's schemas are missing (packages libxml2-utils, libvirt0)")
        return 77
    jobs = {}
    bad = count = 0
    with tempfile.TemporaryDirectory() as folder:
        def make(mode, schema, path, name):
            nonlocal bad
            out = os.path.join(folder, name)
            with open(out, "wb") as f:
                bad += subprocess.run([show, mode, path], stdout=f).returncode != 0
            jobs.setdefault(schema, []).append(out)
        for name in sorted(os.listdir(samples)):
            kind = name.split("-")[0]
            if kind in SCHEMA:
                make(kind, SCHEMA[kind], os.path.join(samples, name), name)
            else:
                for mode in DOMAIN:
                    make(mode, "domain", os.path.join(samples, name), mode + "-" + name)
        make("capabilities", "capability", "-", "capabilities.xml")
        make("domaincapabilities", "domaincaps", "-", "domaincapabilities.xml")
        for schema, files in jobs.items():
            r = subprocess.run(["xmllint", "--noout", "--relaxng", f"{schemas}/{schema}.rng", *files], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            count += len(files)
            if r.returncode:
                bad += 1
                print("\n".join(l for l in r.stdout.splitlines() if not l.endswith(" validates")))
    print(f"{count} documents, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages name every option that the program has, and no other:   manual.py PROGRAM PAGE..."""
import re
import subprocess
import sys


def main():
    text = subprocess.run([sys.argv[1], "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", text, re.M))
    bad = 0
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as f:
            page = f.read().replace("\\-", "-")
        if "@" in page:
            print(f"{path}: something was not filled in")
            bad += 1
        documented = set()
        for heading in re.findall(r"^\.TP\n\.BR? (--.*)$", page, re.M):
            documented |= set(re.findall(r"--[a-z-]+", heading))
        for option in sorted(options ^ documented):
            print(f"{path}: {option} is {'not documented' if option in options else 'no option of the program'}")
            bad += 1
    print(f"{len(options)} options, {bad} breaches")
    return 1 if bad or not options else 0


if __name__ == "__main__":
    sys.exit(main())

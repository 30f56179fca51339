#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands in the pages of docs/guests/ use options, and words of options, that the program has:

    guest_pages.py PROGRAM FOLDER

Looked at: the lines `panal run ...` in blocks of shell, and in the tables of README.md.
"""
import glob
import os
import re
import shlex
import subprocess
import sys


def options(program):
    """Each option with the words that are its values, where it takes nothing else; None: anything."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, value in re.findall(r"^  (--[a-z-]+) ?(.*)$", text, re.M):
        words = value.split(" ")[0].split("[")[0].split("|")
        found[name] = words if value and all(re.fullmatch(r"[a-z0-9]+", w) for w in words) else [] if not value else None
    return found


def commands(path):
    """Commands of a page with their line numbers: whole lines in blocks, what stands between backquotes elsewhere."""
    with open(path, encoding="utf-8") as f:
        inside = False
        for number, line in enumerate(f, 1):
            if line.startswith("```"):
                inside = not inside
            for text in [line] if inside else re.findall(r"`([^`]+)`", line):
                if re.match(r"(panal run|panal-vmm) ", text):
                    yield number, text.strip()


def breaches(known, text, exact):
    """What is wrong with a command. exact: its values are what a user types, not alternatives."""
    words = shlex.split(text.replace("\\|", "|"), comments=True)
    for n, word in enumerate(words):
        if not re.match(r"--[a-z]", word):
            continue
        name = word.split("=")[0]
        if name not in known:
            yield f"{name} is no option"
            continue
        value = words[n + 1] if n + 1 < len(words) else ""
        if exact and known[name] and value.split(",")[0] not in known[name]:
            yield f"{name} {value}: one of {', '.join(known[name])}"


def main():
    known, bad, count = options(sys.argv[1]), 0, 0
    for path in sorted(glob.glob(os.path.join(sys.argv[2], "*.md"))):
        page = os.path.basename(path)
        for number, text in commands(path):
            count += 1
            for what in breaches(known, text, page != "README.md"):
                print(f"docs/guests/{page}:{number}: {what}")
                bad += 1
    print(f"{count} commands, {bad} breaches")
    return 1 if bad or not count or not known else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every text that the sources mark for translation is there in each language of po/LINGUAS, and nothing else. The errors
that src/base/text_told.c knows are some room's.

    tests/house/texts.py
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def texts(catalogue):
    """msgid: msgstr of a catalogue, without its head."""
    plain = re.sub(r'"\n"', "", catalogue)
    return {m[1]: m[2] for m in re.finditer(r'^msgid "(.*)"\nmsgstr "(.*)"$', plain, re.M) if m[1]}


def literals(path):
    """The string literals of a source, those that follow one another joined."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', m)) for m in re.findall(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*', f.read())]


def unsaid():
    """Forms that nobody says any more."""
    told = "src/base/text_told.c"
    said = {text for path in run("git", "ls-files", "src/*.c").split() if path != told for text in literals(path)}
    with open(os.path.join(ROOT, told), encoding="utf-8") as f:
        forms = re.findall(r'N_\(((?:"(?:[^"\\]|\\.)*"\s*)+)\)', f.read())
    joined = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', m)) for m in forms]
    return [f"{told}: no source says {text!r}" for text in joined if text not in said]


def main():
    sources = run("git", "grep", "-lE", r"\b(_|N_)\(\"", "--", "src/*.c") if os.path.exists(os.path.join(ROOT, ".git")) else ""
    with open(os.path.join(ROOT, "po", "POTFILES"), encoding="ascii") as f:
        listed = f.read().split()
    breaches = [f"po/POTFILES lacks {name}" for name in sorted(set(sources.split()) - set(listed))]
    breaches += unsaid() if sources else []
    wanted = texts(run("xgettext", "-L", "C", "--keyword=_", "--keyword=N_", "--from-code=UTF-8", "-f", "po/POTFILES", "-o", "-"))
    with open(os.path.join(ROOT, "po", "LINGUAS"), encoding="ascii") as f:
        languages = f.read().split()
    for language in languages:
        path = os.path.join("po", language + ".po")
        have = texts(run("msgcat", "--no-location", path))
        run("msgfmt", "--check", "-o", os.devnull, path)
        breaches += [f"{path} lacks {text!r}" for text in wanted if not have.get(text)]
        breaches += [f"{path} has {text!r}, which no source has" for text in have if text not in wanted]
    print("\n".join(breaches + [f"texts: {len(wanted)} in {len(languages)} languages, {len(breaches)} breaches"]))
    return 1 if breaches or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())

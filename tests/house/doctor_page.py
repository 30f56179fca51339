#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""panal doctor's manual page names every line that the program can print:   doctor_page.py PAGE SOURCE..."""
import re
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    lines = set()
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as f:
            lines |= set(re.findall(r'doctor_line\(\s*\w+,\s*[^,"]+,\s*"([a-z-]+)"', f.read()))
    missing = sorted(name for name in lines if not re.search(rf"^\.BR? .*\b{name}(?![a-z-])", page, re.M))
    for name in missing:
        print(f"{sys.argv[1]}: {name} is not documented")
    print(f"{len(lines)} lines, {len(missing)} breaches")
    return 1 if missing or not lines else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-2.0-or-later
"""Work for an interpreter: numbers, strings, dictionaries, sorting, calls."""


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def step(self, n):
        return Point((self.x * 31 + n) % 1009, (self.y + self.x) % 1013)


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


words = {}
point = Point(1, 2)
for n in range(60000):
    point = point.step(n)
    words[f"{point.x % 97}-{point.y % 89}"] = words.get(f"{point.x % 97}-{point.y % 89}", 0) + n
top = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:5]
sieve = bytearray(200000)
for n in range(2, 447):
    if not sieve[n]:
        sieve[n * n::n] = b"\1" * len(range(n * n, 200000, n))
print(top, fib(20), sieve.count(0), sum(len(w) for w in " ".join(words).split("-")), 3 ** 2000 % 1000007)

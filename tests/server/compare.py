#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""compare.py VMEMCACHED [ROUNDS] -- the same bytes to vmemcached and to memcached
1.6.18: the replies must be the same

First the recorded scripts, as a whole, byte for byte, and in random pieces;
then what a generator makes that knows the grammar, and how to break it. What is
left out of the comparison, and why, is `normalise` and the table in
vmemcached(1)."""
import random
import re
import subprocess
import sys

from scripts import DIFFERENT, SCRIPTS, SPLIT
from servers import memcached, need, seed, skip, talk, vmemcached, ask

need("memcached")
if b"1.6.18" not in subprocess.run(["memcached", "-V"], check=True,
                                   capture_output=True).stdout:
    skip("memcached is not 1.6.18")

LINE = re.compile(rb"^((?:HD|VA \d+|EN|NS|EX|NF)\b.*)$"
                  rb"|^(VALUE \S+ \d+ \d+) (\d+)\r$", re.M)
NUMBER = re.compile(rb" c(\d+)\b")


def normalise(reply, known):
    """Unique numbers in the order in which they come; what depends on a clock
    or on how memory is kept."""
    def unique(n):
        if n == b"0":
            return b"0"
        return b"#%d" % known.setdefault(n, len(known) + 1)

    def meta(line):
        text = NUMBER.sub(lambda n: b" c" + unique(n.group(1)), line.group(1))
        text = re.sub(rb" l\d+", b" l#", text)
        for ttl in (100, 1000):
            text = re.sub(rb" t(%d|%d)\b" % (ttl - 1, ttl - 2), b" t%d" % ttl,
                          text)
        return text

    reply = re.sub(rb"^VERSION .*$", b"VERSION\r", reply, flags=re.M)
    reply = re.sub(rb"^(ME \S+) exp=(-?\d+) la=\d+ cas=\d+ (fetch=\w+) .*$",
                   lambda m: m.group(1) + b" " + m.group(3), reply, flags=re.M)
    def line(match):
        return meta(match) if match.group(1) else \
            match.group(2) + b" " + unique(match.group(3)) + b"\r"

    return LINE.sub(line, reply)


def differ(what, data, replies):
    print("not the same:", what, repr(data[:3000]), "memcached:",
          repr(replies[0][:3000]), "vmemcached:", repr(replies[1][:3000]),
          sep="\n")
    a, b = (r.split(b"\r\n") for r in replies)
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            print("line %d: %r, %r" % (i + 1, x, y))
            break
    sys.exit(1)


def ask_both(servers, what, data, pieces):
    replies = []
    for server in servers:
        try:
            replies.append(normalise(talk(server, data, pieces), {}))
        except OSError as error:
            print(what, "to", server.path, error)
            raise
    return replies


def both(servers, what, data, pieces=None):
    replies = ask_both(servers, what, data, pieces)
    if replies[0] != replies[1]:
        differ(what, data, replies)


def smallest(servers, commands):
    """As few of the commands as still make a difference."""
    def same(some):
        flush(servers)
        replies = ask_both(servers, "", b"".join(some), None)
        return replies[0] == replies[1]

    size = len(commands)
    while size:
        at = 0
        while at < len(commands):
            less = commands[:at] + commands[at + size:]
            if less and not same(less):
                commands = less
            else:
                at += size
        size //= 2
    flush(servers)
    return commands


def pieces_of(rng, size):
    at, pieces = 0, []
    while at < size:
        pieces.append(rng.choice((1, 2, 3, 7, 20, 100, 3000, 20000)))
        at += pieces[-1]
    return pieces


def flush(servers):
    for s in servers:
        talk(s, b"flush_all\r\n")


def recorded(servers, rng):
    for name, data in SCRIPTS.items():
        flush(servers)
        both(servers, name, data)
        for _ in range(3):
            flush(servers)
            both(servers, name + " in pieces", data, pieces_of(rng, len(data)))
        if name in SPLIT:
            flush(servers)
            both(servers, name + " byte by byte", data, [1] * len(data))


def different(servers):
    for name, (data, ours, theirs) in DIFFERENT.items():
        flush(servers)
        replies = ask_both(servers, name, data, None)
        if replies != [theirs, ours]:
            differ(name + ", as the manual says", data, replies)


KEYS = [b"k", b"key", b"a" * 250, b"n1", b"n2", b"x-y_z"]
BINARY = {b"k": b"aw==", b"key": b"a2V5", b"n1": b"bjE="}


class Generator:
    """Commands, most of them right."""

    def __init__(self, rng):
        self.rng = rng
        # Keys that are never read: memcached's incr depends on whether a reply
        # with the item is still being sent.
        self.counted = (b"c1", b"c2")

    def one(self, *choices):
        return self.rng.choice(choices)

    def key(self):
        if self.rng.random() < 0.02:
            return self.one(b"b" * 251, b"")
        return self.rng.choice(KEYS)

    def value(self, most=300000):
        if self.rng.random() < 0.4:
            return b"%d" % self.rng.choice((0, 1, 9, 10, 99, 2**32, 2**64 - 1))
        size = self.one(0, 1, 2, 5, 30, 300, 2048, 2049, 5000, 16300, 16384,
                        40000, 300000) if self.rng.random() < 0.1 else 7
        size = min(size, most)
        if size < 100:
            return bytes(self.rng.choices(b"abcdefgh", k=size))
        # Lines, as it is one if its command is wrong.
        return (self.rng.choice((b"p", b"q")) * 60 + b"\r\n") * (size // 62) \
            + b"r" * (size % 62)

    def noreply(self):
        return self.one(b"", b"", b"", b" noreply", b" nonsense")

    def exptime(self):
        return self.one(b"0", b"0", b"0", b"100", b"1000", b"-1", b"x")

    def storing(self):
        # Touching a value without a time while it is sent gives it another
        # unique number; vmemcached(1). Small ones are copied.
        exptime = self.exptime()
        value = self.value(2000 if exptime == b"0" else 300000)
        name = self.one(b"set", b"set", b"set", b"add", b"replace", b"append",
                        b"prepend", b"cas")
        line = b"%s %s %s %s %d" % (name, self.key(), self.one(
            b"0", b"1", b"4294967295", b"-1", b"f", b"007"), exptime, len(value))
        if name == b"cas":
            line += self.one(b" 1", b" 0", b" x", b"", b" 18446744073709551615")
        line += self.noreply()
        if self.rng.random() < 0.02:
            value += b"z"
        return line + b"\r\n" + value + b"\r\n"

    def get(self):
        name = self.one(b"get", b"gets", b"gat", b"gats")
        words = [name]
        most = (0, 1, 1, 1, 2, 5, 40)
        if name.startswith(b"gat"):  # longer lines in pieces: closed
            most = (0, 1, 1, 1, 2, 5)
            words.append(self.exptime())
        words += [self.rng.choice(KEYS) for _ in range(self.one(*most))]
        return b" ".join(words) + b"\r\n"

    def arithmetic(self):
        return b"%s %s %s%s\r\n" % (
            self.one(b"incr", b"decr"), self.rng.choice(self.counted),
            self.one(b"1", b"5", b"18446744073709551615", b"-1", b"x", b""),
            self.noreply())

    def other(self):
        return self.one(
            b"delete %s%s\r\n" % (self.key(), self.one(
                b"", b"", b" 0", b" noreply", b" 0 noreply", b" 5", b" a b")),
            b"touch %s %s%s\r\n" % (self.key(), self.exptime(),
                                    self.noreply()),
            b"verbosity 1\r\n", b"verbosity\r\n", b"version\r\n", b"\r\n",
            b"flush_all\r\n", b"flush_all 0 noreply\r\n", b"flush_all x\r\n",
            b"nothing\r\n", b"get\r\n", b"mn\r\n", b"mx k\r\n", b"mg\r\n",
            b"  get k \n", b"stats nothing\r\n", b"stats reset\r\n")

    def flags(self, letters, tokens):
        flags = []
        for letter in letters:
            if self.rng.random() < 0.25:
                flags.append(letter + self.rng.choice(
                    tokens.get(letter, (b"",))))
        self.rng.shuffle(flags)
        if b"T-1" in flags and b"t" in flags:
            flags.remove(b"t")  # memcached tells 4294967295 or so
        if b"T-1" in flags and b"I" in flags:
            flags.remove(b"I")  # then memcached keeps it
        if self.rng.random() < 0.02:
            flags.append(self.one(b"z", b"v", b"v", b"T", b"k", b"Nx", b"S1"))
        return b"".join(b" " + f for f in flags)

    def meta(self):
        tokens = {
            b"O": (b"1", b"abcdef", b"x" * 31, b""), b"T": (b"0", b"100",
                                                            b"1000", b"-1"),
            b"N": (b"0", b"100", b"1000"), b"R": (b"0", b"50", b"2000"),
            b"C": (b"1", b"0"), b"F": (b"0", b"77"), b"D": (b"1", b"10"),
            b"J": (b"0", b"13", b"18446744073709551615"),
        }
        kind = self.one(b"g", b"g", b"s", b"s", b"d", b"a", b"e")
        key, b = self.key(), b""
        if kind != b"a" and key in BINARY and self.rng.random() < 0.3:
            key, b = BINARY[key], b" b"
        letters = {
            b"g": b"cfhklqstuvONRT", b"s": b"ckqOFTIM", b"d": b"kqOITC",
            b"a": b"NJDMqtcvkOC", b"e": b"",
        }[kind]
        if kind == b"a":
            key = self.rng.choice(self.counted)
        if kind == b"s" and self.rng.random() < 0.2:
            letters += b"C"
        if kind in (b"d", b"a") and self.rng.random() < 0.7:
            letters = letters.replace(b"C", b"")
        # No T for ma: memcached gives it to the old item, if the number grew.
        tokens[b"M"] = (b"E", b"A", b"P", b"R", b"S", b"Q") if kind == b"s" \
            else (b"I", b"D", b"+", b"-", b"Q", b"II")
        flags = self.flags([bytes([c]) for c in letters], tokens)
        if kind == b"s":
            value = self.value(2000)
            return b"ms %s %d%s%s\r\n%s\r\n" % (key, len(value), b, flags,
                                                value)
        return b"m%s %s%s%s\r\n" % (kind, key, b, flags)

    def command(self):
        make = self.rng.choices(
            (self.storing, self.get, self.arithmetic, self.other, self.meta),
            (30, 25, 8, 8, 30))[0]
        return make()


def generated(servers, rng, rounds):
    generator = Generator(rng)
    for n in range(rounds):
        flush(servers)
        commands = [generator.command() for _ in
                    range(rng.choice((5, 50, 300)))]
        data = b"".join(commands)
        pieces = rng.choice((None, pieces_of(rng, len(data))))
        replies = ask_both(servers, "generated", data, pieces)
        if replies[0] != replies[1]:
            print("generated, round", n)
            both(servers, "the smallest", b"".join(smallest(servers,
                                                            commands)))
            differ("in pieces", data, replies)


def several(servers, rng, rounds):
    """Commands of several connections, one after the other."""
    generator = Generator(rng)
    connections = [[s.connect() for _ in range(4)] for s in servers]
    known = [{}, {}]
    flush(servers)
    for n in range(rounds):
        i = rng.randrange(4)
        data = generator.command() + b"\r\nmg nokey O99\r\n"
        replies = [normalise(ask(c[i], data, b"EN O99\r\n"), k)
                   for c, k in zip(connections, known)]
        if replies[0] != replies[1]:
            differ("connection %d, command %d" % (i, n), data, replies)
    for c in connections:
        for s in c:
            s.close()


def main():
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    rng = random.Random(seed())
    with memcached() as theirs, vmemcached(program) as ours:
        servers = (theirs, ours)
        recorded(servers, rng)
        different(servers)
        generated(servers, rng, rounds)
        several(servers, rng, 20 * rounds)


main()

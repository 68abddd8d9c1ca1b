#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak.py VMEMCACHED [SECONDS] -- clients that come, go, stall and are killed, in all
protocols and in spaces, for so many seconds (3); whoever behaves is served, and
in the end the server has no more than at the start"""
import random
import socket
import struct
import sys
import threading
import time
import zlib

from servers import ask, seed, talk, vmemcached

PROGRAM = sys.argv[1]
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 3
SEED = seed()
END = time.monotonic() + SECONDS
RESET = struct.pack("ii", 1, 0)
counts = {}
failures = []


def value_of(key):
    """It tells its key, and how long it is."""
    number = zlib.crc32(key)
    size = 1 + number % 997 * (1000 if number % 50 == 0 else 1)
    return (key + b".") * (size // (len(key) + 1) + 1)


def key_of(rng):
    return b"t%d:%d" % (rng.randrange(300), rng.randrange(200))


def behaves(server, rng):
    """Whatever is found is what was stored."""
    with server.connect() as s:
        for _ in range(rng.randrange(1, 100)):
            key = key_of(rng)
            value = value_of(key)
            choice = rng.randrange(6)
            if choice < 2:
                reply = ask(s, b"set %s 0 0 %d\r\n%s\r\n" % (
                    key, len(value), value))
                assert reply == b"STORED\r\n", reply
            elif choice < 4:
                reply = ask(s, b"get %s\r\n" % key, b"END\r\n")
                assert reply in (b"END\r\n", b"VALUE %s 0 %d\r\n%s\r\nEND\r\n"
                                 % (key, len(value), value)), reply[:200]
            elif choice == 4:
                reply = ask(s, b"mg %s s\r\n" % key)
                assert reply in (b"EN\r\n", b"HD s%d\r\n" % len(value)), reply
            else:
                reply = ask(s, b"flush_prefix t%d\r\n" % rng.randrange(300))
                assert reply in (b"OK\r\n", b"NOT_FOUND\r\n"), reply


def stalls(server, rng):
    """Asks for much, takes nothing for a while, and is killed."""
    with server.connect() as s:
        s.settimeout(0.1)
        try:
            for _ in range(200):
                s.sendall(b"get " + b" ".join(
                    key_of(rng) for _ in range(50)) + b"\r\n")
        except OSError:
            pass
        time.sleep(rng.random() / 5)
        # a close is a reset then
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def breaks_off(server, rng):
    """Is gone in the middle of a value, or of anything."""
    data = rng.choice((b"set t1:x 0 0 900000\r\n", b"*3\r\n$3\r\nSET\r\n$4\r\n",
                       b"ms t2:x 500000\r\n", b"get t3:", b"\x80"))
    with server.connect() as s:
        s.sendall(data + b"t" * rng.randrange(300000))
        if rng.random() < .5:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def client(server, what, number):
    rng = random.Random(SEED + number)
    while time.monotonic() < END and not failures:
        try:
            what(server, rng)
        except (ConnectionError, TimeoutError) as error:
            if what is behaves:
                failures.append(repr(error))
        except AssertionError as error:
            failures.append(repr(error))
        counts[what.__name__] = counts.get(what.__name__, 0) + 1


def stat(server, name):
    for line in talk(server, b"stats\r\n").split(b"\r\n"):
        if line.startswith(b"STAT %s " % name):
            return int(line.split()[2])
    raise RuntimeError(name)


def at_rest(server):
    """All that the others had is given back, and can be used."""
    for _ in range(600):
        if stat(server, b"curr_connections") == 1 and \
                stat(server, b"bytes_stalled") == 0:
            break
        time.sleep(.05)
    else:
        raise AssertionError("connections or pins are left")
    assert talk(server, b"flush_all\r\n") == b"OK\r\n"
    assert stat(server, b"curr_items") == 0
    assert stat(server, b"bytes") <= stat(server, b"limit_maxbytes")
    assert talk(server, b"set k 0 0 1\r\nv\r\nget k\r\n") == \
        b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n"


with vmemcached(PROGRAM, "-m", "32m", "--space-by-prefix", ":",
                "--space-quota", "4m", "--space", "t0,0,2m") as vmemcached_:
    threads = [threading.Thread(target=client, args=(vmemcached_, what, n))
               for n, what in enumerate(2 * [behaves, stalls, breaks_off])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(counts)
    assert not failures, failures
    at_rest(vmemcached_)

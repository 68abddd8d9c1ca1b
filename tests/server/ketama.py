#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ketama.py VMEMCACHED -- nutcracker and libmemcached, with the configurations of
doc/CLUSTER.md, put all keys on the same servers; and libmemcached alone, when a
server dies and comes back"""
import ctypes
import re
import signal
import sys
import time

from clusters import (CALLS, KEYS, TCP_CLIENT, UNIX_CLIENT, Cluster,
                      store_all)
from servers import need, skip

need("nutcracker")
try:
    LIBRARY = ctypes.CDLL("libmemcached.so.11")
except OSError:
    skip("libmemcached is not installed")
# memcached_behavior_t
BEHAVIORS = {"MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED": 16}
POINTER = ctypes.c_void_p
for name, result, arguments in (
        ("memcached", POINTER, (ctypes.c_char_p, ctypes.c_size_t)),
        ("memcached_free", None, (POINTER,)),
        ("memcached_behavior_set", ctypes.c_int,
         (POINTER, ctypes.c_int, ctypes.c_uint64)),
        ("memcached_generate_hash", ctypes.c_uint32,
         (POINTER, ctypes.c_char_p, ctypes.c_size_t)),
        ("memcached_set", ctypes.c_int,
         (POINTER, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
          ctypes.c_size_t, ctypes.c_long, ctypes.c_uint32))):
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, arguments


def client(cluster):
    """What the calls of the page make."""
    text = cluster.named(UNIX_CLIENT if cluster.unix else TCP_CLIENT).strip()
    made = LIBRARY.memcached(text.encode(), len(text))
    assert made, text
    calls = re.findall(r"behavior_set\(cache, (\w+), (\d+)\)", CALLS)
    assert calls
    for behavior, value in calls:
        assert LIBRARY.memcached_behavior_set(made, BEHAVIORS[behavior],
                                              int(value)) == 0
    return made


def agree(program, kind):
    """On how many keys."""
    with Cluster(program, kind) as cluster:
        with cluster.proxy() as front:
            store_all(front)
        made = client(cluster)
        theirs = [set() for _ in cluster.servers]
        for n in range(KEYS):
            key = b"key%d" % n
            theirs[LIBRARY.memcached_generate_hash(made, key,
                                                   len(key))].add(n)
        LIBRARY.memcached_free(made)
        shares = [len(share) for share in theirs]
        same = sum(len(share & cluster.holds(i))
                   for i, share in enumerate(theirs))
        print("%s: %s, %d the same" % (kind, shares, same))
        assert min(shares) > KEYS / 5
        return same


def set_all(made):
    """Those whose set succeeds."""
    return {n for n in range(KEYS)
            if LIBRARY.memcached_set(made, b"key%d" % n, len(b"key%d" % n),
                                     b"v", 1, 0, 0) == 0}


def dies(program):
    """Its keys fail, and no others; they are its own again when it is back."""
    everything = set(range(KEYS))
    with Cluster(program, "addresses") as cluster:
        made = client(cluster)
        assert set_all(made) == everything
        share = cluster.holds(0)
        cluster.servers[0].stop(signal.SIGKILL)
        for _ in range(2):
            assert set_all(made) == everything - share
        cluster.restart(0)
        begin = time.monotonic()
        while set_all(made) != everything:
            assert time.monotonic() - begin < 60
        print("back after %.2f s" % (time.monotonic() - begin))
        assert cluster.holds(0) == share
        LIBRARY.memcached_free(made)


for KIND in ("addresses", "ports", "unix"):
    assert agree(sys.argv[1], KIND) == KEYS, KIND
dies(sys.argv[1])

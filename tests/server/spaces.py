#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""spaces.py VMEMCACHED -- --space-by-prefix: a tenant for each prefix, in all three
protocols, with quotas, statistics and an end of their own"""
import subprocess
import sys
import threading

from servers import ask, talk, vmemcached

PROGRAM = sys.argv[1]
BY = ("--space-by-prefix", ":")
MIB = 1 << 20


def put(key, value, flags=b"0"):
    return b"set %s %s 0 %d noreply\r\n%s\r\n" % (key, flags, len(value), value)


def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def space(server, prefix):
    reply = talk(server, b"stats spaces " + prefix + b"\r\n")
    lines = [line.split() for line in reply.split(b"\r\n")[:-2]]
    assert reply.endswith(b"END\r\n") and all(
        line[0] == b"STAT" and line[1].startswith(prefix + b":")
        for line in lines), reply
    return {line[1].split(b":")[1].decode(): int(line[2]) for line in lines}


def found(server, prefix, count):
    out = talk(server, b"".join(b"get %s:%d\r\n" % (prefix, i)
                                for i in range(count)))
    return out.count(b"VALUE")


def wrong_options():
    needs = b": --space and --space-quota need --space-by-prefix"
    for wrong, what in (
            (["--space-by-prefix", ""], b"--space-by-prefix=: not one"),
            (["--space-by-prefix", "::"], b"--space-by-prefix=::: not one"),
            (["--space-by-prefix", " "], b"--space-by-prefix= : not one"),
            (["--space-quota", "1m"], needs),
            (["--space", "a,1m,0"], needs),
            ([*BY, "--space-quota", "x"], b"--space-quota: x is not a size"),
            ([*BY, "--space", "a,1m"], b"--space=a,1m: not PREFIX"),
            ([*BY, "--space", ",1m,0"], b"--space=,1m,0: not PREFIX"),
            ([*BY, "--space", "a,x,0"], b"--space=a: x is not a size"),
            ([*BY, "--space", "a:b,1m,0"], b"--space=a:b: the separator"),
            ([*BY, "--space", "a,1m,0", "--space", "a,1m,0"],
             b"--space=a: named twice"),
            ([*BY, "--space", "a,1m,2m"], b"--space=a: more is reserved"),
            ([*BY, "-p", "0", "--space", "b,0,1m", "--space", "a,0,65m"],
             b"vmemcached: --space=a: ")):
        result = subprocess.run([PROGRAM, *wrong], capture_output=True,
                                timeout=60, check=False)
        assert result.returncode != 0 and what in result.stderr, \
            (wrong, result.stderr)


def off():
    """Without the option all is as before."""
    with vmemcached(PROGRAM) as server:
        assert talk(server, put(b"a:k", b"1") + b"flush_prefix a\r\n"
                    b"stats spaces\r\nget a:k\r\n") == \
            b"ERROR\r\nERROR\r\nVALUE a:k 0 1\r\n1\r\nEND\r\n"
        assert talk(server, resp(b"FLUSHPREFIX", b"a")) == b":0\r\n"


def protocols():
    big = b"b" * 300000
    with vmemcached(PROGRAM, *BY, "--space-quota", "0") as server:
        # text, and one get of keys of several spaces
        keys = [b"a:k", b"b:k", b"k", b":k", b"a:k:k", b"a:", b"ab:k"]
        assert talk(server, b"".join(put(k, k) for k in keys) + b"get " +
                    b" ".join(keys + [b"c:k"]) + b"\r\n") == \
            b"".join(b"VALUE %s 0 %d\r\n%s\r\n" % (k, len(k), k)
                     for k in keys) + b"END\r\n"
        assert space(server, b"a")["curr_items"] == 3
        assert space(server, b"b")["get_hits"] == 1
        assert not space(server, b"c"), "a get makes no space"
        assert talk(server, b"incr c:n 1\r\nadd c:n 0 0 1\r\n4\r\n"
                    b"incr c:n 3\r\nappend c:n 0 0 1\r\n0\r\nget c:n\r\n"
                    b"gat 10 c:n\r\ntouch c:n 0\r\ndelete c:n\r\n"
                    b"delete c:n\r\n") == \
            b"NOT_FOUND\r\nSTORED\r\n7\r\nSTORED\r\n" + \
            2 * b"VALUE c:n 0 2\r\n70\r\nEND\r\n" + \
            b"TOUCHED\r\nDELETED\r\nNOT_FOUND\r\n"
        # meta, pipelined, and a value that is received into the cache
        with server.connect() as s:
            s.sendall(b"ms d:big %d\r\n" % len(big) + big[:100000])
            assert talk(server, b"set e:x 0 0 1\r\na\r\n") == b"STORED\r\n"
            assert ask(s, big[100000:] + b"\r\n") == b"HD\r\n"
        assert talk(server, b"mg d:big v k\r\nmg a:k v\r\nmg b:k v\r\n"
                    b"mg nok v\r\nmd b:k\r\nmg b:k\r\nma m:n N0 J5 v\r\n"
                    b"me a:k\r\n").startswith(
                        b"VA 300000 kd:big\r\n" + big + b"\r\nVA 3\r\na:k\r\n"
                        b"VA 3\r\nb:k\r\nEN\r\nHD\r\nEN\r\nVA 1\r\n5\r\n"
                        b"ME a:k ")
        assert talk(server, b"mg bjpr b v\r\nms bjpr 1 b\r\nB\r\n"
                    b"get n:k\r\n") == b"EN\r\nHD\r\nVALUE n:k 0 1\r\nB\r\n" \
            b"END\r\n"
        # RESP: prefixes of any bytes
        odd = b"\r\n \0%:k"
        long = b"l" * 251 + b":k"
        assert talk(server, resp(b"SET", odd, b"1") + resp(b"GET", odd) +
                    resp(b"MSET", b"x:1", b"a", b"y:1", b"b", long, b"c") +
                    resp(b"MGET", b"x:1", b"y:1", long, b"z:1") +
                    resp(b"INCR", b"x:n") + resp(b"EXISTS", b"x:n", b"y:n") +
                    resp(b"DEL", b"x:1", b"y:1", b"z:1")) == \
            b"+OK\r\n$1\r\n1\r\n+OK\r\n*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc" \
            b"\r\n$-1\r\n:1\r\n:1\r\n:2\r\n"
        reply = talk(server, resp(b"INFO", b"spaces"))
        assert b"\r\n%0D%0A%20%00%25:curr_items=1," in reply, reply
        assert b"STAT %0D%0A%20%00%25:curr_items 1\r\n" in \
            talk(server, b"stats spaces\r\n")
        assert b"\r\nlll" not in reply, reply


def ends():
    """What ends one space, and what ends all."""
    with vmemcached(PROGRAM, *BY) as server:
        talk(server, b"".join(put(p + b":%d" % i, b"v") for i in range(100)
                              for p in (b"a", b"b", b"c")) + put(b"own", b"v"))
        assert talk(server, b"flush_prefix a\r\nflush_prefix z\r\n"
                    b"flush_prefix\r\nflush_prefix a noreply\r\n") == \
            b"OK\r\nNOT_FOUND\r\nERROR\r\n"
        assert found(server, b"a", 100) == 0 and found(server, b"b", 100) == 100
        assert talk(server, resp(b"FLUSHPREFIX", b"b") +
                    resp(b"FLUSHPREFIX", b"z") + resp(b"DBSIZE")) == \
            b":1\r\n:0\r\n:101\r\n"
        assert found(server, b"b", 100) == 0 and found(server, b"c", 100) == 100
        for flush in (b"flush_all\r\n", resp(b"FLUSHALL")):
            talk(server, put(b"c:0", b"v") + put(b"own", b"v"))
            talk(server, flush)
            assert talk(server, b"get c:0 own\r\n") == b"END\r\n"
            assert space(server, b"c")["curr_items"] == 0


def scan(server, *how):
    keys, cursor = [], b"0"
    while True:
        words = talk(server, resp(b"SCAN", cursor, *how)).split(b"\r\n")
        cursor = words[2]
        keys += words[5::2]
        if cursor == b"0":
            return keys


def lists():
    with vmemcached(PROGRAM, *BY) as server:
        prefixes = [b"p%d:" % i for i in range(20)] + [b""]
        keys = {p + b"%d" % i for i in range(50) for p in prefixes}
        talk(server, b"".join(put(k, b"v") for k in keys))
        assert set(scan(server)) == keys
        assert set(scan(server, b"COUNT", b"7")) == keys
        mine = {k for k in keys if k.startswith(b"p1:")}
        assert sorted(scan(server, b"MATCH", b"p1:*")) == sorted(mine)
        assert set(scan(server, b"MATCH", b"p?:1*")) == \
            {k for k in keys if k[2:4] == b":1"}
        assert scan(server, b"MATCH", b"z:*") == []
        assert talk(server, resp(b"SCAN", b"18446744073709551615")) == \
            b"*2\r\n$1\r\n0\r\n*0\r\n"
        dump = talk(server, b"stats cachedump 1 0\r\n")
        assert {line.split()[1] for line in dump.split(b"\r\n")[:-2]} == keys
        assert talk(server, b"stats cachedump 1 60\r\n").count(b"ITEM") == 60


def quotas():
    value = b"v" * 20000
    with vmemcached(PROGRAM, *BY, "-m", "16m", "--space-quota", "2m",
                    "--space", "kept,0,3m", "--space", "big,0,0") as server:
        talk(server, b"".join(put(b"kept:%d" % i, value) for i in range(120)))
        talk(server, b"".join(put(b"b:%d" % i, value) for i in range(40)))
        talk(server, b"".join(put(b"a:%d" % i, value) for i in range(400)))
        a, b = space(server, b"a"), space(server, b"b")
        assert a["limit_maxbytes"] == 2 * MIB >= a["bytes"] > MIB, a
        assert a["evictions"] == 400 - a["curr_items"] > 290, a
        assert b["curr_items"] == 40 and b["evictions"] == 0, b
        # one with no quota fills the rest, but not what is kept
        talk(server, b"".join(put(b"big:%d" % i, value) for i in range(1200)))
        assert space(server, b"big")["bytes"] > 8 * MIB
        assert found(server, b"kept", 120) == 120
        assert space(server, b"kept")["evictions"] == 0
        # a value above the quota finds no room, and the old one goes
        assert talk(server, put(b"a:x", b"v") +
                    b"set a:x 0 0 1048577\r\n" + b"v" * 1048577 + b"\r\n" +
                    b"get a:x\r\n") == \
            b"SERVER_ERROR object too large for cache\r\nEND\r\n"


def crowd():
    """Connections on several threads that name the same new prefixes at once."""
    def client(n):
        replies[n] = talk(server, b"".join(
            b"set p%d:%d 0 0 1\r\nv\r\n" % (i, n) for i in range(3000)))

    with vmemcached(PROGRAM, *BY, "-t", "4") as server:
        replies = [b""] * 4
        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert replies == [b"STORED\r\n" * 3000] * 4
        out = talk(server, b"".join(b"get p%d:0 p%d:1 p%d:2 p%d:3\r\n" % (
            i, i, i, i) for i in range(3000)))
        assert out.count(b"VALUE") == 12000
        assert space(server, b"p2999")["curr_items"] == 4


def memory(server):
    with open("/proc/%d/status" % server.process.pid) as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    raise RuntimeError("no RssAnon")


def many():
    """More prefixes than there can be spaces: the others share the cache."""
    sanitized = b"__asan_init" in open(PROGRAM, "rb").read()
    count = 4000 if sanitized else 66000
    with vmemcached(PROGRAM, *BY, "-m", "128m", "--space-quota", "1m") as server:
        before = memory(server)
        talk(server, b"".join(put(b"%d:k" % i, b"%d" % i)
                              for i in range(count)))
        each = (memory(server) - before) / count
        out = talk(server, b"".join(b"get %d:k\r\n" % i for i in range(count)))
        assert out == b"".join(b"VALUE %d:k 0 %d\r\n%d\r\nEND\r\n" % (
            i, len(str(i)), i) for i in range(count))
        assert talk(server, resp(b"DBSIZE")) == b":%d\r\n" % count
        if not sanitized:
            assert space(server, b"65534") and not space(server, b"65535")
            assert each < 3500, each
        print("%d bytes a prefix with an item" % each)
        assert len(talk(server, b"stats spaces\r\n")) < 2 * MIB
        talk(server, b"flush_all\r\n")
        assert talk(server, b"get 1:k 65600:k\r\n") == b"END\r\n"


wrong_options()
off()
protocols()
ends()
lists()
quotas()
crowd()
many()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""redis_clients.py VMEMCACHED -- Redis' protocol: replies, and the programs and
the module that people have for it"""
import random
import subprocess
import sys

from servers import ask, need, seed, skip, talk, vmemcached

need("redis-cli", "redis-benchmark")
try:
    import redis
except ImportError:
    skip("python3-redis is not installed")


def request(*words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


REPLIES = [
    (("PING",), b"+PONG\r\n"),
    (("ping", "hi"), b"$2\r\nhi\r\n"),
    (("GET", "k"), b"$-1\r\n"),
    (("SET", "k", "v"), b"+OK\r\n"),
    (("GET", "k"), b"$1\r\nv\r\n"),
    (("GET",), b"-ERR wrong number of arguments for 'get' command\r\n"),
    (("SET", "k", "w", "NX"), b"$-1\r\n"),
    (("SET", "n", "w", "XX"), b"$-1\r\n"),
    (("SET", "k", "w", "XX", "GET"), b"$1\r\nv\r\n"),
    (("SET", "k", "w", "NX", "XX"), b"-ERR syntax error\r\n"),
    (("SET", "k", "w", "EX"), b"-ERR syntax error\r\n"),
    (("SET", "k", "w", "EX", "0"),
     b"-ERR invalid expire time in 'set' command\r\n"),
    (("SET", "k", "w", "EX", "x"),
     b"-ERR value is not an integer or out of range\r\n"),
    (("SET", "k", "w", "EX", "100"), b"+OK\r\n"),
    (("TTL", "k"), b":100\r\n"),
    (("SET", "k", "x", "KEEPTTL"), b"+OK\r\n"),
    (("TTL", "k"), b":100\r\n"),
    (("PERSIST", "k"), b":1\r\n"),
    (("PERSIST", "k"), b":0\r\n"),
    (("TTL", "k"), b":-1\r\n"),
    (("TTL", "none"), b":-2\r\n"),
    (("EXPIRE", "k", "50"), b":1\r\n"),
    (("TTL", "k"), b":50\r\n"),
    (("GETEX", "k", "EX", "70"), b"$1\r\nx\r\n"),
    (("TTL", "k"), b":70\r\n"),
    (("EXPIRE", "k", "-1"), b":1\r\n"),
    (("EXISTS", "k"), b":0\r\n"),
    (("EXPIRE", "k", "5"), b":0\r\n"),
    (("GETSET", "k", "1"), b"$-1\r\n"),
    (("GETSET", "k", "2"), b"$1\r\n1\r\n"),
    (("INCR", "k"), b":3\r\n"),
    (("DECRBY", "k", "10"), b":-7\r\n"),
    (("INCRBY", "new", "9223372036854775807"), b":9223372036854775807\r\n"),
    (("INCR", "new"), b"-ERR increment or decrement would overflow\r\n"),
    (("INCRBY", "k", "x"),
     b"-ERR value is not an integer or out of range\r\n"),
    (("APPEND", "k", "a"), b":3\r\n"),
    (("APPEND", "k2", "ab"), b":2\r\n"),
    (("INCR", "k"), b"-ERR value is not an integer or out of range\r\n"),
    (("STRLEN", "k"), b":3\r\n"),
    (("GETRANGE", "k", "0", "-2"), b"$2\r\n-7\r\n"),
    (("GETRANGE", "k", "1", "100"), b"$2\r\n7a\r\n"),
    (("GETRANGE", "k", "5", "1"), b"$0\r\n\r\n"),
    (("MSET", "a", "1", "b", "2"), b"+OK\r\n"),
    (("MSET", "a", "1", "b"),
     b"-ERR wrong number of arguments for 'mset' command\r\n"),
    (("MGET", "a", "none", "b"), b"*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"),
    (("EXISTS", "a", "b", "a", "none"), b":3\r\n"),
    (("SETNX", "a", "3"), b":0\r\n"),
    (("SETNX", "c", "3"), b":1\r\n"),
    (("SETEX", "c", "10", "4"), b"+OK\r\n"),
    (("SETEX", "c", "0", "4"),
     b"-ERR invalid expire time in 'setex' command\r\n"),
    (("GETDEL", "c"), b"$1\r\n4\r\n"),
    (("DEL", "a", "none"), b":1\r\n"),
    (("SELECT", "0"), b"+OK\r\n"),
    (("SELECT", "1"), b"-ERR DB index is out of range\r\n"),
    (("HELLO", "3"), b"-NOPROTO unsupported protocol version\r\n"),
    (("NOSUCH", "a\n"), b"-ERR unknown command 'NOSUCH', with args beginning "
                        b"with: 'a ' \r\n"),
    (("EXEC",), b"-ERR EXEC without MULTI\r\n"),
    (("MULTI",), b"+OK\r\n"),
    (("MULTI",), b"-ERR MULTI calls can not be nested\r\n"),
    (("SET", "t", "1"), b"+QUEUED\r\n"),
    (("INCR", "t"), b"+QUEUED\r\n"),
    (("EXEC",), b"*2\r\n+OK\r\n:2\r\n"),
    (("MULTI",), b"+OK\r\n"),
    (("NOSUCH",), b"-ERR unknown command 'NOSUCH', with args beginning with: "
                  b"\r\n"),
    (("EXEC",), b"-EXECABORT Transaction discarded because of previous "
                b"errors.\r\n"),
    (("MULTI",), b"+OK\r\n"),
    (("GET", "t"), b"+QUEUED\r\n"),
    (("DISCARD",), b"+OK\r\n"),
    (("CLIENT", "GETNAME"), b"$-1\r\n"),
    (("CLIENT", "SETNAME", "me"), b"+OK\r\n"),
    (("CLIENT", "GETNAME"), b"$2\r\nme\r\n"),
    (("RESET",), b"+RESET\r\n"),
    (("FLUSHALL",), b"+OK\r\n"),
    (("DBSIZE",), b":0\r\n"),
    (("QUIT",), b"+OK\r\n"),
]


def replies(server, rng):
    """One by one, then all at once in pieces of any size."""
    with server.connect() as s:
        for words, expected in REPLIES:
            got = ask(s, request(*words))
            if got != expected:
                sys.exit("%r: %r, not %r" % (words, got, expected))
    data = b"".join(request(*words) for words, _ in REPLIES)
    expected = b"".join(reply for _, reply in REPLIES)
    for pieces in ([], [1] * len(data),
                   [rng.randrange(1, 50) for _ in range(len(data))]):
        assert talk(server, data, pieces) == expected
    for wrong in (b"*1\r\nx", b"*x\r\n", b"*1\r\n$-5\r\n"):
        assert talk(server, wrong).startswith(b"-ERR Protocol error")


def large(server):
    """Long requests and long replies, alone and within EXEC."""
    value = b"v" * 1000000
    sets = b"".join(request("SET", "k%d" % i, value) for i in range(20))
    get = request("MGET", *["k%d" % i for i in range(20)] * 5)
    reply = b"*100\r\n" + b"$1000000\r\n%s\r\n" % value * 100
    assert talk(server, sets + get) == b"+OK\r\n" * 20 + reply
    got = talk(server, request("MULTI") + get + get + request("EXEC"))
    assert got == b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + reply + reply
    keys = ["n%d" % i for i in range(30000)]
    assert talk(server, request("MGET", *keys)) == \
        b"*30000\r\n" + b"$-1\r\n" * 30000
    got = talk(server, request("SET", "k", b"v" * 1100000) + request("PING"))
    assert got.endswith(b"\r\n+PONG\r\n") and got.startswith(b"-ERR"), got
    assert b"Protocol error" in talk(server, request("SET", "k", b"v" * 3000000))
    talk(server, request("FLUSHALL"))


def programs(server):
    def cli(*words, data=None):
        return subprocess.run(
            ["redis-cli", "-p", str(server.port), *words], input=data,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            check=False).stdout
    assert cli("SET", "k", "v") == b"OK\n" and cli("GET", "k") == b"v\n"
    assert cli(data=b"SET k w\nGET k\n") == b"OK\nw\n"
    assert b"out of range" in cli("-n", "1", "GET", "k")
    cli("-3", "GET", "k")
    assert b"keyspace_hits" in cli("INFO")
    cli("MSET", *[w for i in range(500) for w in ("s%d" % i, "1")])
    assert len(set(cli("--scan", "--pattern", "s*").split())) == 500
    out = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-q", "-n", "2000", "-c",
         "10", "-t", "ping_mbulk,set,get,incr,mset", "-P", "10"],
        capture_output=True, timeout=200, check=True).stdout
    assert out.count(b"requests per second") == 5, out


def module(server):
    client = redis.Redis(port=server.port, client_name="me")
    assert client.set("k", "v", ex=100) and client.get("k") == b"v"
    assert 0 < client.ttl("k") <= 100
    assert client.client_getname() == "me"
    with client.pipeline() as pipeline:
        pipeline.set("a", 1).incr("a").get("a")
        assert pipeline.execute() == [True, 2, b"2"]
    with client.pipeline(transaction=False) as pipeline:
        pipeline.set("a", 1).incr("a").get("a")
        assert pipeline.execute() == [True, 2, b"2"]
    client.mset({"m%d" % i: i for i in range(100)})
    assert {k for k in client.scan_iter("m*")} == \
        {b"m%d" % i for i in range(100)}
    assert client.mget("m1", "none") == [b"1", None]
    assert client.info()["redis_mode"] == "standalone"
    assert client.dbsize() > 100 and client.flushdb() and client.dbsize() == 0
    client.close()


with vmemcached(sys.argv[1], tcp=True) as SERVER:
    RNG = random.Random(seed())
    replies(SERVER, RNG)
    large(SERVER)
    programs(SERVER)
    module(SERVER)

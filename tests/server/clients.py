#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""clients.py VMEMCACHED -- the programs and modules that people have for
memcached, against vmemcached"""
import os
import signal
import subprocess
import sys

from servers import need, skip, talk, vmemcached

need("memccapable", "memcstat", "memcdump", "memcexist", "memcslap", "memccat",
     "memcping", "memccp", "memcrm", "memcflush")
try:
    from pymemcache.client.base import Client
    from pymemcache.client.hash import HashClient
    from pymemcache.exceptions import MemcacheUnexpectedCloseError
except ImportError:
    skip("pymemcache is not installed")


def run(*command, status=0):
    result = subprocess.run(command, capture_output=True, timeout=200,
                            check=False)
    if result.returncode != status:
        sys.exit("%s: %d %r %r" % (" ".join(command), result.returncode,
                                   result.stdout, result.stderr))
    return result.stdout


def tools(server):
    where = "--servers=127.0.0.1:%d" % server.port
    out = run("memccapable", "-a", "-h", "127.0.0.1", "-p", str(server.port))
    assert out.count(b"[pass]") == 27 and b"FAIL" not in out, out
    talk(server, b"flush_all\r\n")
    run("memcping", where)
    assert b"curr_items: 0" in run("memcstat", where)
    keys = {b"key%d" % i for i in range(300)}
    talk(server, b"".join(b"set %s 0 0 1\r\na\r\n" % key for key in keys))
    assert set(run("memcdump", where).split()) == keys
    run("memcexist", where, "key1")
    run("memcexist", where, "nokey", status=1)
    path = server.directory + "/file"
    with open(path, "wb") as file:
        file.write(os.urandom(300000).hex().encode())
    run("memccp", where, path)
    with open(path, "rb") as file:
        assert run("memccat", where, "file").strip() == file.read()
    run("memcrm", where, "file")
    run("memccat", where, "file", status=1)
    run("memcslap", where, "--concurrency=4", "--execute-number=500",
        "--test=get")
    run("memcflush", where)
    assert run("memcdump", where) == b""


def pymemcache(server):
    client = Client(("127.0.0.1", server.port))
    assert client.set("k", b"v", noreply=False)
    assert client.gets("k")[0] == b"v"
    assert client.cas("k", b"w", client.gets("k")[1], noreply=False)
    assert client.cas("k", b"x", b"1", noreply=False) is False
    assert client.set_many({"a": b"1", "b": b"2" * 500000},
                           noreply=False) == []
    assert client.get_many(["a", "b", "c"]) == {"a": b"1", "b": b"2" * 500000}
    assert client.incr("a", 9) == 10 and client.decr("a", 1) == 9
    assert client.append("k", b"!", noreply=False)
    assert client.get("k") == b"w!"
    assert client.touch("k", 100, noreply=False)
    assert client.delete("k", noreply=False) and client.get("k") is None
    assert client.stats()[b"curr_items"] == 2
    assert client.flush_all(noreply=False) and client.get("a") is None
    client.quit()
    hashed = HashClient([("127.0.0.1", server.port)])
    assert hashed.set("k", b"v") and hashed.get("k") == b"v"
    hashed.close()


def dead_server(program):
    """What HashClient raises, and how often, until a get is a miss."""
    with vmemcached(program, tcp=True) as alive, \
            vmemcached(program, tcp=True) as other:
        client = HashClient([("127.0.0.1", s.port) for s in (alive, other)])
        keys = ["key%d" % n for n in range(100)]
        assert client.set_many(dict.fromkeys(keys, b"v"), noreply=False) == []
        other.stop(signal.SIGKILL)
        raised = []
        for key in keys:
            for _ in range(10):
                try:
                    client.get(key)
                    break
                except (MemcacheUnexpectedCloseError, OSError) as error:
                    raised.append(type(error))
        assert raised[0] is MemcacheUnexpectedCloseError, raised
        assert set(raised[1:]) == {ConnectionRefusedError}, raised
        assert len(raised) <= 5, raised
        client.close()


with vmemcached(sys.argv[1], tcp=True) as SERVER:
    tools(SERVER)
    pymemcache(SERVER)
dead_server(sys.argv[1])

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""cluster.py VMEMCACHED -- three servers behind nutcracker, as doc/CLUSTER.md has
it: one is killed and comes back; what is lost is what the page says"""
import shutil
import signal
import sys

from servers import Server, ask, free_port, need, temporary, vmemcached

need("nutcracker")
KEYS = 1000
CONFIGURATION = """
cache:
  listen: 127.0.0.1:%d
  hash: md5
  distribution: ketama
  auto_eject_hosts: true
  server_failure_limit: 1
  server_retry_timeout: 500
  timeout: 30000
  servers:
%s"""


def proxy(directory, servers):
    port = free_port()
    path = directory + "/nutcracker.yml"
    lines = "".join("   - 127.0.0.1:%d:1 server%d\n" % (s.port, i)
                    for i, s in enumerate(servers))
    with open(path, "w", encoding="ascii") as file:
        file.write(CONFIGURATION % (port, lines))
    return Server(["nutcracker", "-c", path, "-s", str(free_port()), "-o",
                   directory + "/log"], port=port)


def store(s, found):
    """All keys that are not found; how many errors."""
    errors = 0
    for n in range(KEYS):
        if n not in found:
            reply = ask(s, b"set key%d 0 0 1\r\nv\r\n" % n)
            errors += reply != b"STORED\r\n"
    return errors


def find(s):
    """The keys that are there, and how many errors."""
    found, errors = set(), 0
    for n in range(KEYS):
        s.sendall(b"get key%d\r\n" % n)
        reply = b""
        while not reply.endswith((b"END\r\n", b"\r\n")) or (
                reply.startswith(b"VALUE") and not reply.endswith(b"END\r\n")):
            reply += s.recv(1000)
        if reply.startswith(b"VALUE"):
            found.add(n)
        elif reply != b"END\r\n":
            errors += 1
    return found, errors


def holds(server):
    with server.connect() as s:
        return {n for n in range(KEYS)
                if ask(s, b"mg key%d\r\n" % n) == b"HD\r\n"}


def main():
    program = sys.argv[1]
    directory = temporary()
    servers = [vmemcached(program, tcp=True) for _ in range(3)]
    front = proxy(directory, servers)
    try:
        with front.connect() as s:
            assert store(s, ()) == 0
            assert find(s) == (set(range(KEYS)), 0)
            shares = [holds(server) for server in servers]
            assert sum(map(len, shares)) == KEYS
            assert min(map(len, shares)) > KEYS / 5, list(map(len, shares))

            # One dies: errors, if any, until it is left out; its keys are lost,
            # and no others, and are stored at the others from then on.
            servers[0].stop(signal.SIGKILL)
            found, errors = find(s)
            assert found == set(range(KEYS)) - shares[0]
            assert errors <= 5, errors
            assert store(s, found) <= 5
            assert len(find(s)[0]) >= KEYS - 5

            # It comes back empty, and gets the very keys that it had.
            servers[0] = vmemcached(program, tcp=True, port=servers[0].port)
            for _ in range(100000):
                found, errors = find(s)
                if found == set(range(KEYS)) - shares[0]:
                    break
            else:
                sys.exit("it is not asked again")
            assert errors == 0 and store(s, found) == 0
            assert holds(servers[0]) == shares[0]
            print("shares: %s" % [len(share) for share in shares])
    finally:
        front.stop()
        for server in servers:
            server.stop()
        shutil.rmtree(directory)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""robust.py VMEMCACHED -- clients that are slow, silent, endless, too many, or gone:
the others are served, and memory stays bounded"""
import fcntl
import os
import resource
import socket
import struct
import sys
import termios
import threading
import time

from servers import ask, talk, vmemcached

PROGRAM = sys.argv[1]
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()


def memory(server):
    """Bytes of memory of its own: not what it shares, as the pool is."""
    with open("/proc/%d/status" % server.process.pid) as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    raise RuntimeError("no RssAnon")


def alive(server):
    assert talk(server, b"set alive 0 0 1\r\na\r\nget alive\r\n") == \
        b"STORED\r\nVALUE alive 0 1\r\na\r\nEND\r\n"


def ends(s):
    """Is the connection closed, whatever comes before?"""
    try:
        while s.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass


def send(s, data):
    try:
        s.sendall(data)
    except OSError:
        pass


def endless(server):
    """Lines without end are ended, whatever they begin with."""
    for start in (b"x", b"set k", b"mg k", b"gat 0 k"):
        with server.connect() as s:
            send(s, start + b"x" * 20000)
            ends(s)
    for start in (b"get ", b"*1\r\n$", b"*", b"*2\r\n$3\r\nGET\r\n$9999999\r\n"):
        with server.connect() as s:
            for _ in range(300):
                send(s, start if _ == 0 else b"k" * 10000)
            ends(s)
    with server.connect() as s:
        send(s, b"\x80" + bytes(23))
        ends(s)
    alive(server)


def slow_writers(server):
    """Values that come a byte at a time, or never whole."""
    open_ones = []
    for n in range(50):
        s = server.connect()
        send(s, b"set slow%d 0 0 500000\r\n" % n + b"v" * (n * 1000))
        open_ones.append(s)
    alive(server)
    for s in open_ones[:25]:
        s.close()
    for n, s in list(enumerate(open_ones))[25:]:
        send(s, b"v" * (500000 - n * 1000) + b"\r\n")
        assert ask(s, b"") == b"STORED\r\n"
        s.close()
    assert talk(server, b"get slow3\r\n") == b"END\r\n"


def slow_readers(server):
    """They ask for more than fits the pool, and take nothing."""
    value = b"v" * 1000000
    for n in range(20):
        talk(server, b"set big%d 0 0 1000000\r\n%s\r\n" % (n, value))
    before = memory(server)
    readers = []
    for n in range(40):
        s = server.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send(s, b"get big%d big%d\r\n" % (n % 20, (n + 1) % 20) * 100)
        readers.append(s)
    for n in range(100):  # more than the pool: old ones must go
        got = talk(server, b"set new%d 0 0 1000000\r\n%s\r\n" % (n, value))
        assert got == b"STORED\r\n", got
    grown = memory(server) - before
    # Each holds at most a value and what the output may have, and its buffers.
    assert SANITIZED or grown < 40 * (1 << 20) * 3 / 2, grown
    alive(server)
    for s in readers[::2]:
        s.close()
    s = readers[1]
    s.shutdown(socket.SHUT_WR)
    got = bytearray()
    while True:
        more = s.recv(1 << 16)
        if not more:
            break
        got += more
    for n in (1, 2):  # what was evicted meanwhile is a miss
        got = got.replace(b"VALUE big%d 0 1000000\r\n%s\r\n" % (n, value), b"")
    assert got == b"END\r\n" * 100, got[:100]
    for s in readers[3::2]:
        s.close()
    alive(server)


def nearly_done_readers(server):
    """Of their values hardly anything is still to be sent: all of a value stays
    pinned until its last byte has gone."""
    big = b"v" * (1 << 20)
    with server.connect() as s:
        talk(server, b"set big 0 0 1000000\r\n%s\r\n" % big[:1000000])
        send(s, b"get big\r\n")
        taken, queued = -1, 0
        while taken != queued:
            taken = queued
            time.sleep(.05)
            queued, = struct.unpack(
                "i", fcntl.ioctl(s, termios.FIONREAD, bytes(4)))
    size = min(taken + 200, 1000000)
    readers = []
    for n in range((64 << 20) // size + 10):
        got = talk(server, b"set rest%d 0 0 %d\r\n%s\r\n" %
                   (n, size, big[:size]))
        assert got == b"STORED\r\n", (n, got)
        s = server.connect()
        send(s, b"get rest%d\r\n" % n)
        readers.append(s)
    for s in readers:
        s.close()
    alive(server)


def flood(server):
    """One that never stops does not keep the others waiting."""
    stop = threading.Event()

    def work():
        with server.connect() as s:
            s.setblocking(False)
            while not stop.is_set():
                for call in (lambda: s.send(b"get alive\r\n" * 1000),
                             lambda: s.recv(1 << 20)):
                    try:
                        call()
                    except OSError:
                        pass

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(20):
        alive(server)
    stop.set()
    for worker in workers:
        worker.join()


def idle(count):
    """Many that say nothing."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(count, limit[1] - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    with vmemcached(PROGRAM, "-c", str(count + 100)) as server:
        alive(server)
        before = memory(server)
        # a command each, so that they have had a session
        clients = []
        for _ in range(count):
            s = server.connect()
            assert ask(s, b"get k\r\n") == b"END\r\n"
            clients.append(s)
        each = (memory(server) - before) / count
        print("bytes of an idle connection, of %d: %d" % (count, each))
        assert SANITIZED or each < 1024, each
        alive(server)
        for s in clients:
            s.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def served(server):
    """A connection, as soon as one that has gone is no longer counted."""
    for _ in range(10000):
        s = server.connect()
        if ask(s, b"get k\r\n") == b"END\r\n":
            return s
        s.close()
    return sys.exit("no place is free")


def too_many():
    """Connections above the limit, and descriptors that are exhausted."""
    with vmemcached(PROGRAM, "-c", "10") as server:
        clients = [served(server) for _ in range(10)]
        with server.connect() as s:
            assert s.recv(100) == b"ERROR Too many open connections\r\n"
        clients.pop().close()
        served(server).close()
        for s in clients:
            s.close()
    with vmemcached(PROGRAM) as server:
        alive(server)
        used = len(os.listdir("/proc/%d/fd" % server.process.pid))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE,
                         (used + 5, used + 5))
        clients = [server.connect() for _ in range(20)]
        assert ask(clients[0], b"get k\r\n") == b"END\r\n"
        for n, s in enumerate(clients):  # as some go, others come
            assert ask(s, b"get k\r\n") == b"END\r\n", n
            s.close()
        alive(server)


with vmemcached(PROGRAM, "-m", "64") as SERVER:
    alive(SERVER)
    endless(SERVER)
    slow_writers(SERVER)
    nearly_done_readers(SERVER)
    slow_readers(SERVER)
    flood(SERVER)
idle(10000)
too_many()

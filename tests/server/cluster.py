#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""cluster.py VMEMCACHED -- three servers behind nutcracker, and clients that ask for
all keys and store what they miss: one server is killed, and comes back; what is
lost, which errors there are, and how it recovers, is what doc/CLUSTER.md says"""
import random
import signal
import sys
import threading
import time

from clusters import KEYS, Cluster, store_all
from servers import ask, seed, talk

CLIENTS = 8
SEVERAL = 10  # keys in a get
RETRY = .5  # seconds, of server_retry_timeout
LIMIT = 30  # seconds, for what takes about one
SEED = seed()


class Phase:
    """What all clients saw, of requests that began in it."""

    def __init__(self):
        self.begin = time.monotonic()
        self.requests = self.single = self.multi = self.stored = 0
        self.closed = 0
        self.missed = set()
        self.clients = set()

    def errors(self):
        return self.single + self.multi + self.stored

    def tries(self):
        """How often nutcracker can have asked the dead server by now."""
        return 1 + int((time.monotonic() - self.begin) / RETRY)

    def show(self, name):
        print("%s: %d requests in %.2f s; errors: %d of a get, %d of several, "
              "%d of a set, %d closed; %d keys missed" % (
                  name, self.requests, time.monotonic() - self.begin,
                  self.single, self.multi, self.stored, self.closed,
                  len(self.missed)), flush=True)


class Load:
    """Clients of the proxy, until the end of `with`."""

    def __init__(self, front):
        self.front = front
        self.phase = Phase()
        self.lock = threading.Lock()
        self.ended = False
        self.failures = []
        self.threads = [threading.Thread(target=self.client, args=(n,))
                        for n in range(CLIENTS)]

    def client(self, number):
        rng = random.Random(SEED + number)
        try:
            while not self.ended:
                with self.front.connect() as s:
                    while not self.ended and self.request(s, rng, number):
                        pass
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(repr(error))

    def request(self, s, rng, number):
        """False: the proxy has closed the connection."""
        phase = self.phase
        keys = rng.sample(range(KEYS), rng.choice((1, 1, SEVERAL)))
        found, missed, reply = set(), set(), b""
        s.sendall(b"get%s\r\n" % b"".join(b" key%d" % n for n in keys))
        while not reply.endswith(b"END\r\n") and not (
                b"SERVER_ERROR" in reply and reply.endswith(b"\r\n")):
            got = receive(s)
            reply += got
            if not got:
                break
        good = reply.endswith(b"END\r\n") and b"ERROR" not in reply
        if good:
            found = {int(line.split()[1][3:]) for line in reply.split(b"\r\n")
                     if line.startswith(b"VALUE ")}
            assert found <= set(keys), reply
            missed = set(keys) - found
        stored = [ask(s, b"set key%d 0 0 1\r\nv\r\n" % n) for n in missed]
        with self.lock:
            phase.clients.add(number)
            phase.requests += 1
            phase.missed |= missed
            if not good and reply:
                assert reply.startswith(b"SERVER_ERROR"), reply
                if len(keys) == 1:
                    phase.single += 1
                else:
                    phase.multi += 1
            phase.stored += sum(r.startswith(b"SERVER_ERROR") for r in stored)
            closed = not (reply or good) or any(b"<closed>" in r
                                                for r in stored)
            phase.closed += closed
        return not closed

    def next_phase(self):
        """When it returns, no request of an earlier one is under way."""
        self.phase = phase = Phase()
        self.wait("clients", lambda: len(phase.clients) == CLIENTS)
        return phase

    def wait(self, what, done):
        """Until it is so, under load."""
        end = time.monotonic() + LIMIT
        while not done():
            assert not self.failures, self.failures
            assert time.monotonic() < end, what
            time.sleep(.02)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


def receive(s):
    try:
        return s.recv(1 << 16)
    except ConnectionResetError:
        return b""


def has_none(server):
    return b"STAT curr_items 0\r\n" in talk(server, b"stats\r\n")


def dies(cluster, load, share):
    """Its keys are lost, and no others; each client has an error or two each time
    that the server is asked again."""
    dead = load.next_phase()
    cluster.servers[0].stop(signal.SIGKILL)
    load.wait("all keys are stored again", lambda: dead.missed >= share)
    load.wait("it is asked again twice", lambda: dead.tries() > 3)
    dead.show("dead")
    assert dead.missed == share, dead.missed ^ share
    assert 1 <= dead.errors() <= CLIENTS * dead.tries()
    assert dead.closed <= CLIENTS * dead.tries()


def comes_back(cluster, load, share):
    """It is empty, and gets the very keys that it had."""
    back = load.next_phase()
    cluster.restart(0)
    begin = time.monotonic()
    load.wait("it is asked again", lambda: not has_none(cluster.servers[0]))
    print("asked again after %.2f of the time" %
          ((time.monotonic() - begin) / RETRY))
    load.wait("it has all keys", lambda: back.missed >= share and
              cluster.holds(0) == share)
    back.show("back")
    # nutcracker sends the keys of a get that it has already sorted by servers to
    # that of the first one, which is another one if the server is back by then.
    assert len(back.missed - share) < SEVERAL, back.missed - share
    # It may have been asked once more before it was back.
    assert back.errors() <= CLIENTS * back.tries()
    assert back.closed <= CLIENTS * back.tries()
    again = load.next_phase()
    load.wait("requests", lambda: again.requests > KEYS)
    again.show("again")
    assert not again.missed and again.errors() + again.closed == 0


def old_values(cluster, front, share):
    """What was stored elsewhere meanwhile is found if the server dies again."""
    with front.connect() as s:
        for n in share:
            assert ask(s, b"set key%d 0 0 1\r\nw\r\n" % n) == b"STORED\r\n"
    cluster.servers[0].stop(signal.SIGKILL)
    key = min(share)
    for _ in range(100):
        with front.connect() as s:
            reply = ask(s, b"get key%d\r\n" % key)
        if reply == b"VALUE key%d 0 1\r\nv\r\nEND\r\n" % key:
            return
    sys.exit("not old: %r" % reply)


with Cluster(sys.argv[1], "addresses") as CLUSTER, \
        CLUSTER.proxy(server_retry_timeout=int(RETRY * 1000),
                      timeout=30000) as FRONT:
    store_all(FRONT)
    SHARES = [CLUSTER.holds(i) for i in range(3)]
    print("shares: %s" % [len(share) for share in SHARES])
    assert sum(map(len, SHARES)) == KEYS
    assert min(map(len, SHARES)) > KEYS / 5
    with Load(FRONT) as LOAD:
        BEFORE = LOAD.phase
        LOAD.wait("requests", lambda: BEFORE.requests > KEYS)
        BEFORE.show("before")
        assert not BEFORE.missed and BEFORE.errors() + BEFORE.closed == 0
        dies(CLUSTER, LOAD, SHARES[0])
        comes_back(CLUSTER, LOAD, SHARES[0])
    old_values(CLUSTER, FRONT, SHARES[0])

# SPDX-License-Identifier: BSD-3-Clause
"""Several servers, and nutcracker before them, as doc/CLUSTER.md has it: its very
configurations, but for addresses and what a test says"""
import os
import random
import re

from servers import Server, ask, free_port, need, temporary, vmemcached

KEYS = 1000
PORT = 11211  # nutcracker and libmemcached leave out this one of a name
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "../../doc/CLUSTER.md")
with open(PAGE, encoding="utf-8") as FILE:
    TCP, UNIX, CALLS, TCP_CLIENT, UNIX_CLIENT = re.findall(
        r"^```\w+\n(.*?)^```", FILE.read(), re.M | re.S)


class Cluster:
    """Three servers: at the usual port, each at a loopback address of its own,
    at other ports of 127.0.0.1, or at Unix sockets."""

    def __init__(self, program, kind):
        self.program = program
        self.unix = kind == "unix"
        self.servers = []
        for _ in range(3):
            address, port = "127.0.0.1", None
            if kind == "addresses":
                # Somebody may listen at the port, at all addresses.
                address = "127.%d.%d.%d" % tuple(random.choices(
                    range(1, 255), k=3))
                port = free_port(address, PORT)
            self.servers.append(vmemcached(
                program, tcp=not self.unix, port=port, address=address))

    def named(self, text):
        """The text of the page with these servers in place of its own."""
        for i, s in enumerate(self.servers):
            if self.unix:
                text = text.replace("/run/vmemcached/%d.sock" % i, s.path)
            else:
                text = text.replace("10.0.0.%d:%d" % (i + 1, PORT), "%s:%d" % (
                    s.address, s.port))
        return text

    def proxy(self, **settings):
        need("nutcracker")
        port, text = free_port(), self.named(UNIX if self.unix else TCP)
        for name, value in {"listen": "127.0.0.1:%d" % port,
                            **settings}.items():
            text, n = re.subn(r"(?m)^(  %s:) .*$" % name, r"\1 %s" % value,
                              text)
            assert n == 1, name
        directory = temporary()
        with open(directory + "/nutcracker.yml", "w", encoding="ascii") as file:
            file.write(text)
        front = Server(["nutcracker", "-c", file.name, "-s", str(free_port()),
                        "-o", directory + "/log"], port=port)
        front.directory = directory
        return front

    def restart(self, i):
        old = self.servers[i]
        self.servers[i] = vmemcached(self.program, tcp=True, port=old.port,
                                     address=old.address)

    def holds(self, i):
        with self.servers[i].connect() as s:
            return {n for n in range(KEYS)
                    if ask(s, b"mg key%d\r\n" % n) == b"HD\r\n"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()


def store_all(front):
    with front.connect() as s:
        for n in range(KEYS):
            assert ask(s, b"set key%d 0 0 1\r\nv\r\n" % n) == b"STORED\r\n"

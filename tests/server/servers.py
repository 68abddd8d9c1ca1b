# SPDX-License-Identifier: BSD-3-Clause
"""Servers for tests: vmemcached and the real ones beside it, and bytes to and
from them. Each listens at a Unix socket, or a free port, of its own."""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIP = 77


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(program + " is not installed")


def seed():
    """That of this run: $VMC_TEST_SEED, else another one each time."""
    given = os.environ.get("VMC_TEST_SEED")
    number = int(given, 0) if given else random.SystemRandom().getrandbits(32)
    print("VMC_TEST_SEED=%d" % number, flush=True)
    return number


class Server:
    """A server process, ended with `with`."""

    def __init__(self, command, path=None, port=None, address="127.0.0.1"):
        self.directory = None
        self.path = path
        self.port = port
        self.address = address
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL)
        os.set_blocking(self.process.stderr.fileno(), False)
        for _ in range(2000):
            if self.process.poll() is not None:
                raise RuntimeError("%s: %s" % (command[0], self.errors()))
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.005)
        raise RuntimeError("%s does not listen" % command[0])

    def connect(self, timeout=30):
        if self.path:
            s = socket.socket(socket.AF_UNIX)
            address = self.path
        else:
            s = socket.socket()
            address = (self.address, self.port)
        s.settimeout(timeout)
        try:
            s.connect(address)
        except OSError:
            s.close()
            raise
        return s

    def errors(self):
        data = self.process.stderr.read()
        return data.decode(errors="replace") if data else ""

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status, text = self.process.wait(60), ""
        if not self.process.stderr.closed:
            text = self.errors()
            self.process.stderr.close()
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None
        return status, text

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status, text = self.stop()
        if kind is None and status not in (
                0, -signal.SIGTERM, -signal.SIGKILL):
            raise RuntimeError("ended with %d: %s" % (status, text))


def temporary():
    return tempfile.mkdtemp(prefix="vmemcached-")


def free_port(address="127.0.0.1", port=0):
    """The port, if it is free, else another one."""
    with socket.socket() as s:
        try:
            s.bind((address, port))
        except OSError:
            s.bind((address, 0))
        return s.getsockname()[1]


def vmemcached(program, *options, tcp=False, port=None, address="127.0.0.1"):
    directory = temporary()
    path = None
    if tcp:
        port = port or free_port(address)
        where = ["-l", address, "-p", str(port)]
    else:
        path = directory + "/socket"
        where = ["-s", path]
    server = Server([program, "-t", "2", *where, *options], path, port, address)
    server.directory = directory
    return server


def memcached(*options):
    need("memcached")
    directory = temporary()
    path = directory + "/socket"
    who = ["-u", "root"] if os.geteuid() == 0 else []
    server = Server(["memcached", "-t", "2", "-s", path, *who, *options], path)
    server.directory = directory
    return server


def talk(server, data, pieces=None):
    """Send all, say that this was all, and return what comes. pieces: the
    sizes of the packets."""
    def send():
        try:
            at = 0
            for n in pieces or ():
                s.sendall(data[at:at + n])
                at += n
            s.sendall(data[at:])
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has closed the connection

    with server.connect() as s:
        out = bytearray()
        sender = threading.Thread(target=send)
        sender.start()
        try:
            while True:
                got = s.recv(1 << 16)
                if not got:
                    break
                out += got
        except ConnectionResetError:
            pass  # closed with something unread: as good as an end
        sender.join()
        return bytes(out)


def ask(s, data, until=b"\r\n"):
    """Send, and receive up to the end of the reply."""
    def send():
        try:
            s.sendall(data)
        except OSError:
            pass  # the server has closed the connection

    sender = threading.Thread(target=send)
    sender.start()
    out = b""
    while not out.endswith(until):
        try:
            got = s.recv(1 << 16)
        except ConnectionResetError:
            got = b""
        if not got:
            out += b"<closed>"
            break
        out += got
    sender.join()
    return out

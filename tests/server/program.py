#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""program.py VMEMCACHED -- the program itself: options, signals, sockets, what the
service manager is told"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

from servers import Server, ask, free_port, talk, temporary, vmemcached

PROGRAM = sys.argv[1]


def run(*options):
    return subprocess.run([PROGRAM, *options], capture_output=True, timeout=60,
                          check=False)


def options():
    assert run("--version").stdout.startswith(b"vmemcached "), "--version"
    described = run("--help").stdout
    at = [described.index(b" -%c, " % letter) for letter in b"mdIPlpsactv"]
    assert at == sorted(at), "--help: what belongs together is apart"
    for wrong in ("-m x", "-m 0", "-m 1023k", "-p 65536", "-t 0", "-t 257",
                  "-c 0", "-c 1000001", "-I 3g", "-I 1g", "-I 1023",
                  "-P best", "-a 9"):
        result = run(*wrong.split())
        assert result.returncode != 0, wrong
        assert b": %s: not a" % wrong.encode() in result.stderr or \
            b": %s: no such" % wrong.encode() in result.stderr, result
    for wrong in ("--nothing", "word"):
        result = run(wrong)
        assert result.returncode != 0 and result.stderr, wrong
    result = run("-s", "/nowhere/socket")
    assert result.returncode == 1 and b"/nowhere" in result.stderr, result
    result = run("-p", "0", "-d", "/nowhere")
    assert result.returncode == 1 and b"/nowhere" in result.stderr, result


def order():
    """A port that is taken is told before the memory is made; clients can
    connect after that only."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("-v", "-p", str(port), "-d", "/nowhere")
        assert result.returncode == 1, result
        assert b"127.0.0.1 port %d: " % port in result.stderr, result
        assert b"/nowhere" not in result.stderr, result
    directory = temporary()
    os.utime(directory, (0, 0))
    result = run("-v", "-s", directory + "/socket", "-d", "/nowhere")
    assert result.returncode == 1, result
    assert b"67108864 bytes ready in /nowhere" in result.stderr, result
    assert os.stat(directory).st_mtime == 0, "there was a socket"
    os.rmdir(directory)
    with vmemcached(PROGRAM, "-v", "-m", "16") as server:
        talk(server, b"version\r\n")
        _, text = server.stop()
        assert re.search("16777216 bytes ready in .*\n.*serves /", text), text


def wait_for_write(process):
    """Until it waits in a write to standard error."""
    while process.poll() is None:
        with open("/proc/%d/syscall" % process.pid, encoding="ascii") as file:
            if file.read().startswith("1 0x2 "):
                return
        time.sleep(0.005)


def refused():
    """Until the memory is ready. The server stops before it makes that, as it
    has something to say and nobody reads it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"-" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    port = free_port()
    process = subprocess.Popen([PROGRAM, "-v", "-p", str(port)], stderr=writer)
    os.close(writer)
    try:
        wait_for_write(process)
        try:
            socket.create_connection(("127.0.0.1", port), 60)
            raise AssertionError("a client can connect too early")
        except ConnectionRefusedError:
            pass
        text = b""
        while b" serves " not in text:
            some = os.read(reader, 4096)
            assert some, text
            text += some
        with socket.create_connection(("127.0.0.1", port), 60) as s:
            assert ask(s, b"get k\r\n") == b"END\r\n"
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def signals():
    with vmemcached(PROGRAM) as server:
        talk(server, b"set k 0 0 1\r\na\r\nget k\r\n")
        idle = server.connect()
        server.process.send_signal(signal.SIGUSR1)
        server.process.send_signal(signal.SIGHUP)
        assert talk(server, b"get k\r\n") == b"VALUE k 0 1\r\na\r\nEND\r\n"
        path = server.path
        status, text = server.stop()
        assert status == 0, status
        assert re.search(r"^items +1$", text, re.M), text
        assert not os.path.exists(path), "the socket is left"
        assert idle.recv(1) == b""


def sockets():
    with vmemcached(PROGRAM, "-v", "-l", "localhost", tcp=True) as server:
        assert talk(server, b"version\r\n").startswith(b"VERSION 1.6.18-")
        assert b"domain_socket NULL" in talk(server, b"stats settings\r\n")
    with vmemcached(PROGRAM, "-a", "750") as server:
        assert os.stat(server.path).st_mode & 0o777 == 0o750
        assert b"STAT tcpport 0\r\n" in talk(server, b"stats settings\r\n")
        result = run("-s", server.path)
        assert b"in use" in result.stderr, result
        # one that is left over is replaced
        server.process.kill()
        server.process.wait()
        with Server([PROGRAM, "-s", server.path], server.path):
            pass


def service():
    directory = temporary()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(directory + "/notify")
    notify.settimeout(60)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    shell = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" -v 3<&"$1"'
    fd = listener.fileno()
    process = subprocess.Popen(
        ["sh", "-c", shell, PROGRAM, str(fd)], pass_fds=[fd],
        env={**os.environ, "NOTIFY_SOCKET": directory + "/notify"},
        stderr=subprocess.PIPE)
    listener.close()
    assert notify.recv(100) == b"READY=1"
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        assert ask(s, b"get k\r\n") == b"END\r\n"
        assert b"STAT tcpport %d\r\n" % port in \
            ask(s, b"stats settings\r\n", b"END\r\n")
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        assert b"\r\ntcp_port:%d\r\n" % port in \
            ask(s, b"*1\r\n$4\r\nINFO\r\n", b"avg_ttl=0\r\n\r\n")
    process.terminate()
    assert notify.recv(100) == b"STOPPING=1"
    assert process.wait(60) == 0
    assert b"1 inherited" in process.stderr.read()
    process.stderr.close()
    notify.close()
    os.unlink(directory + "/notify")
    os.rmdir(directory)


options()
order()
refused()
signals()
sockets()
service()

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

from servers import Server, ask, talk, temporary, vmemcached

PROGRAM = sys.argv[1]


def run(*options):
    return subprocess.run([PROGRAM, *options], capture_output=True, timeout=60,
                          check=False)


def options():
    assert run("--version").stdout.startswith(b"vmemcached "), "--version"
    assert b"--memory-limit" in run("--help").stdout, "--help"
    for wrong in (["-m", "x"], ["-m", "0"], ["-p", "65536"], ["-t", "0"],
                  ["-c", "0"], ["-I", "3g"], ["-P", "best"], ["-a", "9"],
                  ["--nothing"], ["word"]):
        result = run(*wrong)
        assert result.returncode != 0 and result.stderr, wrong
    result = run("-s", "/nowhere/socket")
    assert result.returncode == 1 and b"/nowhere" in result.stderr, result
    result = run("-p", "0", "-d", "/nowhere")
    assert result.returncode == 1 and b"/nowhere" in result.stderr, result


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
    process.terminate()
    assert notify.recv(100) == b"STOPPING=1"
    assert process.wait(60) == 0
    assert b"1 inherited" in process.stderr.read()
    process.stderr.close()
    notify.close()
    os.unlink(directory + "/notify")
    os.rmdir(directory)


options()
signals()
sockets()
service()

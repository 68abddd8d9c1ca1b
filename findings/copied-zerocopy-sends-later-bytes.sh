#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A MSG_ZEROCOPY send that "was copied" has sent what was written after it
#
# Over loopback the kernel copies what is sent with MSG_ZEROCOPY: its completion
# carries SO_EE_CODE_ZEROCOPY_COPIED. One would guess that the copy was made by
# send(2), as without the flag, so that a program which sees this code may drop
# the bookkeeping of its buffers on such sockets. The copy is made when the
# receiver's side takes the data up; until then the queue refers to the sender's
# pages, and what is written to them arrives. The code tells that zero copies
# gained nothing. When a buffer is free is told by the completion alone: a value
# in shared memory has to stay as it is until then.
#
# Seen on Linux 6.18 over 127.0.0.1, with Python 3.11.2 of Debian 12:
#
#     before the receiver reads: no completion
#     1 MiB of A sent, then overwritten with B: most of it arrives as B
#     completion: copied
#
# Run by hand; needs apt, no root. Fails if it changes.
set -euo pipefail

version=3.11.2-6+deb12u9
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for package in python3.11-minimal libpython3.11-minimal libpython3.11-stdlib; do
	apt-get -qq download "$package=$version" >/dev/null 2>&1 ||
		{ echo "cannot get $package $version" >&2; exit 2; }
	dpkg -x "$package"_*.deb root
done

cat >send.py <<'PYTHON'
import mmap, select, socket, struct
SO_ZEROCOPY, MSG_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED = 60, 0x4000000, 1
SIZE = 1 << 20
listener = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(listener.getsockname())
receiver, _ = listener.accept()
sender.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * SIZE)

def completion(milliseconds):
    poll = select.poll()
    poll.register(sender, 0)  # errors are told unasked
    if not poll.poll(milliseconds):
        return "no completion"
    (_, _, data), = sender.recvmsg(0, 512, socket.MSG_ERRQUEUE)[1]
    code = struct.unpack_from("IBBB", data)[3]
    return "copied" if code & SO_EE_CODE_ZEROCOPY_COPIED else "not copied"

value = mmap.mmap(-1, SIZE)
value[:] = b"A" * SIZE
assert sender.send(value, MSG_ZEROCOPY) == SIZE
print("before the receiver reads:", completion(500))
value[:] = b"B" * SIZE
got = bytearray()
while len(got) < SIZE:
    got += receiver.recv(SIZE)
print("1 MiB of A sent, then overwritten with B:",
      "most of it arrives as B" if got.count(b"B") > SIZE // 2 else "A")
print("completion:", completion(5000))
PYTHON
PYTHONHOME=$dir/root/usr root/usr/bin/python3.11 -S send.py | tee seen
diff - seen <<'SEEN' && echo "as stated"
before the receiver reads: no completion
1 MiB of A sent, then overwritten with B: most of it arrives as B
completion: copied
SEEN

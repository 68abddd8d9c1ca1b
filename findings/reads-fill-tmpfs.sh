#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Reading a hole through a shared mapping on tmpfs makes the file take space
#
# One would guess that a read of a hole maps a page of zeros, as it does in
# private memory, and that only writing takes space: a sparse file stays sparse
# while programs look at it. On tmpfs a load from a hole allocates its page for
# good (st_blocks grows, and the file system fills), while read(2) of the same
# hole allocates nothing. So a check that looks at pages which nobody has
# written changes what it looks at, and may be answered by SIGBUS where the
# file system is full.
#
# Seen on Linux 6.18, tmpfs at /dev/shm, with Python 3.11.2 of Debian 12:
#
#     a sparse file of 64 pages   0 bytes occupied
#     after read(2) of 16 pages   0 bytes occupied
#     after loads from 16 pages   65536 bytes occupied
#
# Run by hand; needs apt, a writable /dev/shm, no root. Fails if it changes.
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

cat >look.py <<'PYTHON'
import mmap, os, tempfile
PAGE = mmap.PAGESIZE
with tempfile.TemporaryFile(dir="/dev/shm") as file:
    occupied = lambda: os.fstat(file.fileno()).st_blocks * 512
    file.truncate(64 * PAGE)
    print("sparse", occupied())
    os.pread(file.fileno(), 16 * PAGE, 0)
    print("read", occupied())
    memory = mmap.mmap(file.fileno(), 64 * PAGE)
    assert all(memory[i * PAGE] == 0 for i in range(16))
    print("loaded", occupied() // PAGE, "pages")
    memory.close()
PYTHON
PYTHONHOME=$dir/root/usr root/usr/bin/python3.11 -S look.py | tee seen
printf 'sparse 0\nread 0\nloaded 16 pages\n' | diff - seen &&
	echo "as stated"

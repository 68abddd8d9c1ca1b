#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# io_uring refuses to register a mapping, and has allocated its file all the same
#
# A program that sends from a large file on tmpfs may register the mapping with
# io_uring_register_buffers(3). RLIMIT_MEMLOCK bounds that for a process without
# CAP_IPC_LOCK: the call fails with ENOMEM. One would guess that the limit is
# looked at first, as the size is known, and that a call that failed left nothing
# behind. The kernel first makes every page present, and counts then. So a sparse
# file of 64 MiB has all of its 64 MiB afterwards, and they stay until a hole is
# punched or the file goes: the memory that the limit was to keep free.
#
# Seen with Linux 6.18 and liburing 2.3-3 of Debian 12, on tmpfs:
#
#     before: 0 MiB
#     registering 64 MiB, limit 1 MiB: Cannot allocate memory
#     after: 64 MiB
#
# Run by hand; needs apt, cc and setpriv. As root it gives its capabilities up.
# Fails if it changes, or where io_uring is not allowed.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for package in liburing2=2.3-3 liburing-dev=2.3-3; do
	apt-get -qq download "$package" >/dev/null 2>&1 ||
		{ echo "cannot get $package" >&2; exit 2; }
	dpkg -x "${package%=*}"_*.deb root
done

cat >register.c <<'C'
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void
tell(const char *when, int fd)
{
	struct stat file;

	fstat(fd, &file);
	printf("%s: %ld MiB\n", when, (long)file.st_blocks >> 11);
}

int
main(void)
{
	size_t size = 64 << 20;
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	struct iovec buffer = {.iov_len = size};
	struct io_uring ring;
	int rc;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
		io_uring_queue_init(8, &ring, 0) < 0)
		return 1;
	buffer.iov_base = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tell("before", fd);
	rc = io_uring_register_buffers(&ring, &buffer, 1);
	printf("registering 64 MiB, limit 1 MiB: %s\n", strerror(-rc));
	tell("after", fd);
	return 0;
}
C
lib=$dir/root/usr/lib/x86_64-linux-gnu
cc -D_GNU_SOURCE -I root/usr/include register.c "$lib/liburing.a" -o register
ulimit -l 1024
without=()
((EUID != 0)) || without=(setpriv --bounding-set=-all --inh-caps=-all
	--reuid=65534 --regid=65534 --clear-groups)
chmod 755 "$dir"
"${without[@]}" ./register | tee seen
diff - seen <<'SEEN' && echo "as stated"
before: 0 MiB
registering 64 MiB, limit 1 MiB: Cannot allocate memory
after: 64 MiB
SEEN

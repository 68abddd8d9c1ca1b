#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# nutcracker sends all keys to one server, if told "hash: crc32" and "ketama"
#
# nutcracker, the proxy for memcached, has a list of hash functions and a list
# of distributions, and its configuration joins any two. One would guess that
# consistent hashing (ketama) spreads keys over three servers with any hash. With
# crc32 it spreads nothing. "crc32" is libmemcached's variant, whose result has
# 15 bits, and the points of a server on the circle have 32. So every key falls
# before nearly all of the points. With md5 each server gets about a third.
#
# Seen with nutcracker 0.5.0+dfsg-2 and memcached 1.6.18-1+deb12u1 of Debian 12, three
# servers of equal weight, 3000 keys:
#
#     md5: each server has between 500 and 1500 keys
#     crc32: the servers have 0, 0 and 3000 keys
#
# Run by hand; needs apt, python3 and libevent, no root. Fails if it changes.
set -euo pipefail

dir=$(mktemp -d)
pids=()
trap '((${#pids[@]})) && kill "${pids[@]}"; rm -rf "$dir"' EXIT
cd "$dir"
for package in nutcracker=0.5.0+dfsg-2 memcached=1.6.18-1+deb12u1 \
	libevent-2.1-7=2.1.12-stable-8+deb12u1 libyaml-0-2=0.2.5-1; do
	apt-get -qq download "$package" >/dev/null 2>&1 ||
		{ echo "cannot get $package" >&2; exit 2; }
	dpkg -x "${package%%=*}"_*.deb root
done
export LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu

for i in 1 2 3; do
	root/usr/bin/memcached -s "$dir/server$i" -u "$(id -un)" &
	pids+=($!)
done
stats=0
for hash in md5 crc32; do
	cat >$hash.yml <<YML
pool:
  listen: $dir/$hash
  hash: $hash
  distribution: ketama
  servers:
   - $dir/server1:1 one
   - $dir/server2:1 two
   - $dir/server3:1 three
YML
	root/usr/sbin/nutcracker -c $hash.yml -a 127.0.0.1 \
		-s $((20000 + (RANDOM % 10000) * 4 + stats++)) \
		-p $hash.pid -o $hash.log &
	pids+=($!)
done

cat >keys.py <<'PY'
import socket, sys, time

def ask(path, request, end):
    with socket.socket(socket.AF_UNIX) as s:
        for _ in range(100):
            try:
                s.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        s.sendall(request)
        reply = b""
        while not reply.endswith(end):
            some = s.recv(65536)
            if not some:
                raise SystemExit("%s closed: %r" % (path, reply[-80:]))
            reply += some
        return reply.decode()

for name in ("md5", "crc32"):
    for i in (1, 2, 3):
        ask("server%d" % i, b"flush_all\r\n", b"OK\r\n")
    for i in range(3000):
        ask(name, b"set user:%d 0 0 1\r\nv\r\n" % i, b"STORED\r\n")
    keys = b"get " + b" ".join(b"user:%d" % i for i in range(3000)) + b"\r\n"
    counts = sorted(ask("server%d" % i, keys, b"END\r\n").count("VALUE ")
                    for i in (1, 2, 3))
    if counts[0] > 500 and counts[2] < 1500 and sum(counts) == 3000:
        print("%s: each server has between 500 and 1500 keys" % name)
    else:
        print("%s: the servers have %d, %d and %d keys" % (name, *counts))
PY
python3 keys.py | tee seen
diff - seen <<'SEEN' && echo "as stated"
md5: each server has between 500 and 1500 keys
crc32: the servers have 0, 0 and 3000 keys
SEEN

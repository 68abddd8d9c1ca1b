/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_memcached.c -- memcached as a store, as near as it can be had
 *
 * The server is started for the store, with the budget as its memory. All
 * connections are made at once, one a thread; then socket and directory are
 * removed, so that nothing is left behind wherever the run ends. Requests are
 * of the binary protocol, which takes any bytes as a key; value bytes are sent
 * from and received into the caller's buffer directly, with one system call
 * each way as a rule.
 *
 * A thread claims the next connection at its first request. Stores follow one
 * another, so it remembers which store the connection belonged to.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crew.h"
#include "peers.h"
#include "server.h"

enum { MAX_THREADS = 64, HEADER = 24, GET = 0x00, SET = 0x01 };
enum { REQUEST = 0x80, NOT_FOUND = 0x0001 };

struct memcached {
	struct bench_store head;
	uint64_t number; /* no other store has the same */
	struct bench_server server;
	_Atomic unsigned claimed;
	unsigned threads;
	int connections[MAX_THREADS];
};

static _Thread_local struct {
	uint64_t number; /* of the store that it belongs to */
	int fd;
} mine;

static int
connection(struct memcached *s)
{
	if (mine.number != s->number) {
		unsigned i = atomic_fetch_add(&s->claimed, 1);

		if (i >= s->threads)
			bench_fail("memcached: more threads than connections");
		mine.number = s->number;
		mine.fd = s->connections[i];
	}
	return mine.fd;
}

/*
 * At least so many bytes of the parts, which are moved on to what is left.
 * How many; -1 with errno.
 */
static ssize_t
move(int fd, struct iovec *parts, size_t n, size_t least, bool send)
{
	size_t all = 0;

	while (all < least) {
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
		ssize_t moved = send ? sendmsg(fd, &message, MSG_NOSIGNAL)
				     : recvmsg(fd, &message, 0);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved == 0)
			errno = ECONNRESET;
		if (moved <= 0)
			return -1;
		all += (size_t)moved;
		for (size_t i = 0; i < n && moved > 0; i++) {
			size_t part = parts[i].iov_len < (size_t)moved
					      ? parts[i].iov_len
					      : (size_t)moved;

			parts[i].iov_base = (char *)parts[i].iov_base + part;
			parts[i].iov_len -= part;
			moved -= (ssize_t)part;
		}
	}
	return (ssize_t)all;
}

static bool
send_request(int fd, unsigned operation, const struct bench_key *key,
	const void *value, size_t size)
{
	unsigned extras = operation == SET ? 8 : 0; /* flags, time to live */
	size_t body = extras + key->size + size;
	unsigned char start[HEADER + 8] = {
		REQUEST,
		(unsigned char)operation,
		(unsigned char)(key->size >> 8),
		(unsigned char)key->size,
		(unsigned char)extras,
		[8] = (unsigned char)(body >> 24),
		(unsigned char)(body >> 16),
		(unsigned char)(body >> 8),
		(unsigned char)body,
	};
	struct iovec parts[] = {
		{start, HEADER + extras},
		{(void *)(uintptr_t)key->bytes, key->size},
		{(void *)(uintptr_t)value, size},
	};

	return move(fd, parts, 3, HEADER + body, true) >= 0;
}

/*
 * The status of an answer; -1 with errno. A value is preceded by some extras;
 * an answer without one has a text instead, which is dropped.
 */
static int
receive(int fd, size_t extras, void *value, size_t size)
{
	unsigned char start[HEADER + 4];
	char text[256];
	struct iovec parts[] = {{start, HEADER + extras}, {value, size}};
	ssize_t got = move(fd, parts, 2, HEADER, false);

	if (got < 0)
		return -1;
	int status = start[6] << 8 | start[7];
	size_t body = (size_t)start[8] << 24 | (size_t)start[9] << 16 |
		      (size_t)start[10] << 8 | start[11];
	size_t left = body - ((size_t)got - HEADER);
	if (status == 0 && body == extras + size)
		return move(fd, parts, 2, left, false) < 0 ? -1 : 0;
	if (status == 0 || left > sizeof(text)) {
		errno = EPROTO;
		return -1;
	}
	struct iovec rest = {text, left};
	return move(fd, &rest, 1, left, false) < 0 ? -1 : status;
}

static enum bench_result
memcached_put(struct bench_store *s, const struct bench_key *key,
	const void *value, size_t size)
{
	int fd = connection((struct memcached *)s);

	if (!send_request(fd, SET, key, value, size))
		return BENCH_FAILED;
	int status = receive(fd, 0, NULL, 0);
	return status == 0  ? BENCH_DONE
	       : status > 0 ? BENCH_REFUSED
			    : BENCH_FAILED;
}

static enum bench_result
memcached_get(struct bench_store *s, const struct bench_key *key, void *buffer,
	size_t size)
{
	int fd = connection((struct memcached *)s);

	if (!send_request(fd, GET, key, NULL, 0))
		return BENCH_FAILED;
	int status = receive(fd, 4, buffer, size);
	return status == 0           ? BENCH_DONE
	       : status == NOT_FOUND ? BENCH_MISS
				     : BENCH_FAILED;
}

static void
memcached_close(struct bench_store *s)
{
	struct memcached *m = (struct memcached *)s;

	for (unsigned i = 0; i < m->threads; i++)
		close(m->connections[i]);
	bench_server_stop(&m->server);
	free(m);
}

static const struct bench_store_type memcached_type = {
	.name = "memcached",
	.put = memcached_put,
	.get = memcached_get,
	.close = memcached_close,
};

struct bench_store *
bench_memcached_open(const struct bench_budget *budget)
{
	static uint64_t number;
	struct memcached *m = bench_zeroed(1, sizeof(*m));
	char mebibytes[24];
	char threads[24];
	/* -u is looked at for root alone, who would be refused without it. */
	const char *const arguments[] = {"memcached", "-s", "%s", "-m",
		mebibytes, "-t", threads, "-u", "root", NULL};

	m->head.type = &memcached_type;
	m->number = ++number;
	/* it insists on twice its largest item */
	snprintf(mebibytes, sizeof(mebibytes), "%zu",
		budget->bytes >> 20 > 2 ? budget->bytes >> 20 : 2);
	snprintf(threads, sizeof(threads), "%u", budget->threads);
	bench_server_start(&m->server, arguments);
	while (m->threads < budget->threads + 1)
		m->connections[m->threads++] =
			bench_server_connect(&m->server, "memcached");
	bench_server_hide(&m->server);
	return &m->head;
}

bool
bench_memcached_installed(void)
{
	return system("memcached -V >/dev/null 2>&1") == 0;
}

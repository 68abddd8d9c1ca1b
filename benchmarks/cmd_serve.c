/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_serve.c -- values to and from sockets, in place and through a buffer
 *
 * One thread serves: it sends values drawn at random from a full pool, or
 * receives values that are new. In place, the kernel copies between the socket
 * and the pool: pin, sendmsg, unpin; reserve, readv, commit. Through a buffer
 * there is one more copy: get and send; recv and put. The floor is sendmsg or
 * readv of as many bytes of memory of the same size, in huge pages where there
 * are any, as the pool is: with pages of 4 KiB the kernel was seen to copy at a
 * tenth of the speed.
 *
 * Another thread is the other end. What counts is the processor time of the
 * thread that serves: on the loopback interface that is also most of the
 * network's. All ways take turns, over one connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "commands.h"
#include "crew.h"
#include "progress.h"
#include "random.h"
#include "room.h"
#include "store.h"

static uint64_t pool;
static uint64_t rounds = 7;
static struct bench_list values;

static const struct bench_column columns[] = {
	{"operation", "operation", BENCH_TEXT},
	{"value_bytes", "values", BENCH_BYTES},
	{"in_place_per_second", "in place/s", BENCH_WHOLE},
	{"copied_per_second", "copied/s", BENCH_WHOLE},
	{"floor_per_second", "floor/s", BENCH_WHOLE},
	{"times_copied", "x copied", BENCH_TWO_DIGITS},
	{"times_floor", "x floor", BENCH_TWO_DIGITS},
};

enum way { IN_PLACE, COPIED, FLOOR, WAYS };

struct service {
	VMEMcache *cache;
	char *plain;  /* a mapping of the pool's size */
	char *buffer; /* of a value */
	uint64_t held, next_key, random, place;
	size_t size;
	int fd;
	struct peer {
		int fd;
		bool sends;
		uint64_t bytes;
		char buffer[1 << 18];
	} peer;
};

static _Noreturn void
fail_socket(void)
{
	bench_fail("socket: %s", errno ? strerror(errno) : "it is closed");
}

/* All bytes of the pieces, by writev(2) or readv(2) or what is like them. */
static void
move(int fd, const struct iovec *iov, int count,
	ssize_t (*call)(int, const struct iovec *, int))
{
	struct iovec some[64];
	size_t skip = 0; /* of the first piece */

	for (int at = 0; at < count;) {
		int n = count - at < 64 ? count - at : 64;
		memcpy(some, iov + at, (size_t)n * sizeof(some[0]));
		some[0].iov_base = (char *)some[0].iov_base + skip;
		some[0].iov_len -= skip;
		errno = 0;
		ssize_t moved = call(fd, some, n);
		if (moved <= 0)
			fail_socket();
		skip += (size_t)moved;
		while (at < count && skip >= iov[at].iov_len)
			skip -= iov[at++].iov_len;
	}
}

static ssize_t
send_pieces(int fd, const struct iovec *iov, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)count};

	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void
move_bytes(int fd, char *at, size_t size,
	ssize_t (*call)(int, const struct iovec *, int))
{
	move(fd, &(struct iovec){at, size}, 1, call);
}

/* Of the mapping: as the pool is read, and as it is written, in turn. */
static char *
drawn(struct service *s)
{
	return s->plain + bench_random_below(&s->random, s->held) * s->size;
}

static char *
next(struct service *s)
{
	s->place = (s->place + 1) % (pool / s->size);
	return s->plain + s->place * s->size;
}

static void
put(struct service *s)
{
	uint64_t key = s->next_key++;

	if (vmemcache_put(s->cache, &key, sizeof(key), s->buffer, s->size))
		bench_fail("put: %s", vmemcache_errormsg());
}

static void
send_one(struct service *s, enum way way)
{
	uint64_t key =
		s->next_key - 1 - bench_random_below(&s->random, s->held);
	struct vmemcache_item item;

	switch (way) {
	case IN_PLACE:
		if (vmemcache_pin(s->cache, &key, sizeof(key), 0, &item))
			bench_fail("pin: %s", vmemcache_errormsg());
		move(s->fd, item.iov, item.iov_count, send_pieces);
		vmemcache_unpin(s->cache, &item);
		break;
	case COPIED:
		if (vmemcache_get(s->cache, &key, sizeof(key), s->buffer,
			    s->size, 0, NULL) < 0)
			bench_fail("get: %s", vmemcache_errormsg());
		move_bytes(s->fd, s->buffer, s->size, send_pieces);
		break;
	default:
		move_bytes(s->fd, drawn(s), s->size, send_pieces);
	}
}

static void
receive_one(struct service *s, enum way way)
{
	struct vmemcache_item item;

	switch (way) {
	case IN_PLACE:
		if (vmemcache_reserve(s->cache, &s->next_key,
			    sizeof(s->next_key), s->size, NULL, &item))
			bench_fail("reserve: %s", vmemcache_errormsg());
		s->next_key++;
		move(s->fd, item.iov, item.iov_count, readv);
		if (vmemcache_commit(s->cache, &item, s->size, NULL))
			bench_fail("commit: %s", vmemcache_errormsg());
		break;
	case COPIED:
		move_bytes(s->fd, s->buffer, s->size, readv);
		put(s);
		break;
	default:
		move_bytes(s->fd, next(s), s->size, readv);
	}
}

static void *
be_peer(void *arg)
{
	struct peer *p = arg;

	for (uint64_t left = p->bytes; left > 0;) {
		size_t n = left < sizeof(p->buffer) ? left : sizeof(p->buffer);
		move_bytes(p->fd, p->buffer, n, p->sends ? send_pieces : readv);
		left -= n;
	}
	return NULL;
}

/* Processor nanoseconds of a value, this way. */
static double
slice(struct service *s, bool sends, enum way way, size_t n)
{
	pthread_t thread;

	s->peer.bytes = (uint64_t)n * s->size;
	s->peer.sends = !sends;
	if (pthread_create(&thread, NULL, be_peer, &s->peer))
		bench_fail("no thread: %s", strerror(errno));
	uint64_t from = bench_clock(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; i < n; i++) {
		if (sends)
			send_one(s, way);
		else
			receive_one(s, way);
	}
	double ns = (double)(bench_clock(CLOCK_THREAD_CPUTIME_ID) - from);
	pthread_join(thread, NULL);
	return ns / (double)n;
}

static void
compare(struct service *s, bool sends, const char *name,
	struct bench_table *table)
{
	double ns[WAYS][BENCH_MAX_ROUNDS], times[2][BENCH_MAX_ROUNDS];
	size_t n = ((size_t)32 << 20) / s->size + 1;

	/* gets have changed the order in which values are evicted */
	for (uint64_t i = 0; i <= pool / s->size; i++)
		put(s);
	s->held = bench_statistic(s->cache, VMEMCACHE_STAT_ENTRIES);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < WAYS; i++) {
			enum way way = (enum way)((i + round) % WAYS);
			ns[way][round] = slice(s, sends, way, n);
		}
		times[0][round] = ns[COPIED][round] / ns[IN_PLACE][round];
		times[1][round] = ns[FLOOR][round] / ns[IN_PLACE][round];
	}
	BENCH_ROW(table, name, (double)s->size,
		1e9 / bench_median(ns[IN_PLACE], rounds),
		1e9 / bench_median(ns[COPIED], rounds),
		1e9 / bench_median(ns[FLOOR], rounds),
		bench_median(times[0], rounds), bench_median(times[1], rounds));
}

static void
connect_tcp(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || fds[0] < 0 ||
		bind(listener, (void *)&address, length) ||
		listen(listener, 1) ||
		getsockname(listener, (void *)&address, &length) ||
		connect(fds[0], (void *)&address, length))
		fail_socket();
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fds[1] < 0)
		fail_socket();
	close(listener);
}

static void
measure(struct service *s, struct bench_table *table, double part)
{
	static const char *const names[2][2] = {
		{"pair send", "pair receive"}, {"TCP send", "TCP receive"}};
	int fds[2];

	for (int tcp = 0; tcp < 2; tcp++) {
		if (tcp)
			connect_tcp(fds);
		else if (socketpair(
				 AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
			fail_socket();
		s->fd = fds[0];
		s->peer.fd = fds[1];
		for (int receives = 0; receives < 2; receives++) {
			compare(s, !receives, names[tcp][receives], table);
			bench_progress(part + (2 * tcp + receives) /
						       (4.0 * (double)values.n),
				names[tcp][receives]);
		}
		close(fds[0]);
		close(fds[1]);
	}
}

static void
run(struct bench_report *r, char **arguments)
{
	struct service *s = bench_zeroed(1, sizeof(*s));

	(void)arguments;
	if (values.n == 0)
		bench_parse_sizes("4K,16K,64K,256K,1M", &values);
	pool = bench_fit_pool(pool, (size_t)3 << 29, 2);
	if (bench_list_max(&values) > pool / 4)
		bench_refuse("--pool is at least 4 of the largest values");
	bench_setting_bytes(r, "pool", pool);
	bench_setting_common(r);
	bench_setting_number(r, "rounds", rounds);
	struct bench_table *table = BENCH_TABLE(r, "serve", columns);
	s->plain = mmap(NULL, pool, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->plain == MAP_FAILED)
		bench_fail(
			"no mapping of the pool's size: %s", strerror(errno));
	madvise(s->plain, pool, MADV_HUGEPAGE);
	memset(s->plain, 1, pool);
	s->buffer = bench_zeroed(1, bench_list_max(&values));
	s->random = bench.seed;
	for (size_t i = 0; i < values.n; i++) {
		s->size = values.at[i];
		s->cache = bench_cache_configure(pool);
		bench_cache_add(s->cache);
		vmemcache_bench_set(s->cache, VMEMCACHE_BENCH_PREFAULT, 1);
		measure(s, table, (double)i / (double)values.n);
		bench_cache_delete(s->cache);
	}
	munmap(s->plain, pool);
	free(s->buffer);
	free(s);
	bench_note(r, "Values per second of processor time of the thread that "
		      "serves. in place: pin,\nsendmsg, unpin; or reserve, "
		      "readv, commit. copied: get, send; or recv, put. floor:\n"
		      "the same of plain memory.");
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "(default 1.5G)", bench_parse_size, &pool},
	{"values", 'v', "SIZE,...", "(default 4K,16K,64K,256K,1M)",
		bench_parse_sizes, &values},
	{"rounds", 'r', "N", "at least 5 (default 7)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_serve = {
	.name = "serve",
	.summary = "values to and from sockets, in place and through a buffer",
	.help = "Sends values of a full pool over a socket pair and over TCP "
		"on the loopback interface, and receives values into it: in "
		"place, by pins and reservations, and through a buffer, by "
		"gets and puts. Prints how many of them a second of the "
		"serving thread's processor time is enough for, and beside "
		"that the floor: the same of plain memory.",
	.options = options,
	.evicts = true,
	.run = run,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_memcached.c -- memcached as a store, as near as it can be had
 *
 * The server is started for the store, with the budget as its memory, on a
 * socket in a private directory. All connections are made at once, one a
 * thread; then socket and directory are removed, so that nothing is left
 * behind wherever the run ends: the kernel kills the server when its parent
 * goes. Requests are of the binary protocol, which takes any bytes as a key;
 * value bytes are sent from and received into the caller's buffer directly,
 * with one system call each way as a rule.
 *
 * A thread claims the next connection at its first request. Stores follow one
 * another, so it remembers which store the connection belonged to.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "peers.h"

enum { MAX_THREADS = 64, HEADER = 24, GET = 0x00, SET = 0x01 };
enum { REQUEST = 0x80, NOT_FOUND = 0x0001 };
#define PATIENCE_NS UINT64_C(20000000000)

struct server {
	struct bench_store head;
	uint64_t number; /* no other store has the same */
	pid_t pid;
	_Atomic unsigned claimed;
	unsigned threads;
	int connections[MAX_THREADS];
};

static _Thread_local struct {
	uint64_t number; /* of the store that it belongs to */
	int fd;
} mine;

static int
connection(struct server *s)
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
	int fd = connection((struct server *)s);

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
	int fd = connection((struct server *)s);

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
	struct server *server = (struct server *)s;

	for (unsigned i = 0; i < server->threads; i++)
		close(server->connections[i]);
	kill(server->pid, SIGTERM);
	waitpid(server->pid, NULL, 0);
	free(server);
}

static const struct bench_store_type memcached_type = {
	.name = "memcached",
	.put = memcached_put,
	.get = memcached_get,
	.close = memcached_close,
};

static _Noreturn void
become_memcached(
	const struct bench_budget *budget, const char *path, pid_t parent)
{
	char mebibytes[24];
	char threads[24];
	int nowhere = open("/dev/null", O_RDWR);

	/* it insists on twice its largest item */
	snprintf(mebibytes, sizeof(mebibytes), "%zu",
		budget->bytes >> 20 > 2 ? budget->bytes >> 20 : 2);
	snprintf(threads, sizeof(threads), "%u", budget->threads);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	dup2(nowhere, STDIN_FILENO);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	/* -u is looked at for root alone, who would be refused without it. */
	execlp("memcached", "memcached", "-s", path, "-m", mebibytes, "-t",
		threads, "-u", "root", (char *)NULL);
	_exit(127);
}

static bool
try_connect(struct server *s, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_fail("memcached: socket: %s", strerror(errno));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		s->connections[s->threads++] = fd;
		return true;
	}
	close(fd);
	return false;
}

/* All connections; NULL, or what went wrong. */
static const char *
connect_all(struct server *s, const char *path, unsigned threads)
{
	uint64_t start = bench_now();

	while (s->threads < threads) {
		if (try_connect(s, path))
			continue;
		if (waitpid(s->pid, NULL, WNOHANG) != 0)
			return "it did not start";
		if (bench_now() - start > PATIENCE_NS)
			return "it does not answer";
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	return NULL;
}

struct bench_store *
bench_memcached_open(const struct bench_budget *budget)
{
	static uint64_t number;
	struct server *s = bench_zeroed(1, sizeof(*s));
	const char *parent = getenv("TMPDIR");
	char directory[80];
	char path[96];

	s->head.type = &memcached_type;
	s->number = ++number;
	if (parent == NULL ||
		strlen(parent) > 50) /* a socket's path is short */
		parent = "/tmp";
	snprintf(directory, sizeof(directory), "%s/vmemcache-bench.XXXXXX",
		parent);
	if (mkdtemp(directory) == NULL)
		bench_fail("memcached: %s: %s", directory, strerror(errno));
	snprintf(path, sizeof(path), "%s/socket", directory);
	fflush(stdout);
	pid_t self = getpid();
	s->pid = fork();
	if (s->pid == 0)
		become_memcached(budget, path, self);
	const char *wrong = s->pid < 0
				    ? strerror(errno)
				    : connect_all(s, path, budget->threads + 1);
	unlink(path);
	rmdir(directory);
	if (wrong != NULL)
		bench_fail("memcached: %s", wrong);
	return &s->head;
}

bool
bench_memcached_installed(void)
{
	return system("memcached -V >/dev/null 2>&1") == 0;
}

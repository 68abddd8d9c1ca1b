/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clients.c -- connections that ask a server, in one thread
 *
 * Each connection has what is still to be sent, when its requests were due, and
 * what is there in part of an answer. Of answers only their structure is looked
 * at: values are skipped.
 */
#include "clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crew.h"

enum {
	IN_SIZE = 256 << 10,
	OUTSTANDING = 256, /* requests of a connection; a power of two */
	KEY = 14,          /* "key:" and ten digits */
	OVERHEAD = 64      /* bytes of a command beside key and value */
};
/* An answer that takes longer is none. */
#define PATIENCE_NS UINT64_C(20000000000)

struct client {
	int fd;
	char *out;
	size_t out_sent, out_used, out_size;
	char *in;
	size_t in_used;
	size_t skip;           /* bytes of a value that are to come */
	bool ends_behind;      /* the part of an answer ends there */
	uint64_t elements;     /* of an array that are to come */
	unsigned parts;        /* of the answer that were there */
	unsigned first, asked; /* requests answered, and asked */
	uint64_t due[OUTSTANDING];
};

struct bench_clients {
	int epoll;
	unsigned n;
	char *value;
	size_t value_size;
	struct bench_answers *answers;
	struct client client[];
};

struct bench_clients *
bench_clients_new(const int *connections, unsigned n)
{
	struct bench_clients *all =
		bench_zeroed(1, sizeof(*all) + n * sizeof(all->client[0]));

	all->n = n;
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < n; i++) {
		struct client *c = &all->client[i];
		struct epoll_event event = {
			.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

		c->fd = connections[i];
		c->in = bench_realloc(NULL, IN_SIZE);
		if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
			epoll_ctl(all->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
			bench_fail("a connection: %s", strerror(errno));
	}
	return all;
}

void
bench_clients_free(struct bench_clients *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		close(all->client[i].fd);
		free(all->client[i].in);
		free(all->client[i].out);
	}
	close(all->epoll);
	free(all->value);
	free(all);
}

/* --- requests --- */

static void
add(struct client *c, const void *bytes, size_t size)
{
	memcpy(c->out + c->out_used, bytes, size);
	c->out_used += size;
}

static void
add_text(struct client *c, const char *text)
{
	add(c, text, strlen(text));
}

static void
add_number(struct client *c, uint64_t number)
{
	char text[24];

	add(c, text,
		(size_t)snprintf(text, sizeof(text), "%llu",
			(unsigned long long)number));
}

static void
add_key(struct client *c, uint64_t number)
{
	char key[KEY] = {'k', 'e', 'y', ':'};

	for (unsigned i = KEY; i-- > 4; number /= 10)
		key[i] = (char)('0' + number % 10);
	add(c, key, KEY);
}

/* The command for one key, which in a get of several is only a part of it. */
static void
add_command(const struct bench_clients *all, struct client *c,
	const struct bench_ask *ask, uint64_t key)
{
	switch (ask->kind) {
	case BENCH_ASK_GET:
		add_text(c, " ");
		add_key(c, key);
		break;
	case BENCH_ASK_META:
		add_text(c, "mg ");
		add_key(c, key);
		add_text(c, " v\r\n");
		break;
	case BENCH_ASK_SET:
		add_text(c, "set ");
		add_key(c, key);
		add_text(c, " 0 0 ");
		add_number(c, ask->value);
		break;
	case BENCH_ASK_MGET:
		add_text(c, "$14\r\n");
		add_key(c, key);
		add_text(c, "\r\n");
		break;
	case BENCH_ASK_MSET:
		add_text(c, "*3\r\n$3\r\nSET\r\n$14\r\n");
		add_key(c, key);
		add_text(c, "\r\n$");
		add_number(c, ask->value);
		break;
	}
	if (ask->kind == BENCH_ASK_SET || ask->kind == BENCH_ASK_MSET) {
		add_text(c, "\r\n");
		add(c, all->value, ask->value);
		add_text(c, "\r\n");
	}
}

/* A request for the keys that draw() gives, due then. */
static void
add_request(const struct bench_clients *all, struct client *c,
	const struct bench_ask *ask, const uint64_t *keys, unsigned n,
	uint64_t due)
{
	size_t most = OVERHEAD + n * (OVERHEAD + KEY + all->value_size);

	if (c->out_size - c->out_used < most) {
		c->out_size = c->out_used + most;
		c->out = bench_realloc(c->out, c->out_size);
	}
	if (ask->kind == BENCH_ASK_GET)
		add_text(c, "get");
	if (ask->kind == BENCH_ASK_MGET) {
		add_text(c, "*");
		add_number(c, n + 1);
		add_text(c, "\r\n$4\r\nMGET\r\n");
	}
	for (unsigned i = 0; i < n; i++)
		add_command(all, c, ask, keys[i]);
	if (ask->kind == BENCH_ASK_GET)
		add_text(c, "\r\n");
	if (ask->kind == BENCH_ASK_META)
		add_text(c, "mn\r\n");
	c->due[c->asked++ % OUTSTANDING] = due;
}

static bool
send_some(struct client *c)
{
	while (c->out_sent < c->out_used) {
		ssize_t n = send(c->fd, c->out + c->out_sent,
			c->out_used - c->out_sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		c->out_sent += (size_t)n;
	}
	c->out_sent = c->out_used = 0;
	return true;
}

/* --- answers --- */

/* A part of an answer is there: of that many the answer consists. */
static void
end_part(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask)
{
	bool sets = ask->kind == BENCH_ASK_SET || ask->kind == BENCH_ASK_MSET;
	uint64_t now;

	if (++c->parts < (sets ? ask->batch : 1))
		return;
	c->parts = 0;
	now = bench_now();
	all->answers->requests++;
	bench_histogram_record(
		&all->answers->latency, now - c->due[c->first++ % OUTSTANDING]);
}

static void
end_element(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask)
{
	if (c->elements == 0 || --c->elements == 0)
		end_part(all, c, ask);
}

static bool
begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

/* A line of memcached's, which ends in a line feed. */
static void
take_text_line(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask, const char *line, const char *end)
{
	const char *size = NULL;

	if (begins(line, "VALUE "))
		for (size = end; size[-1] != ' '; size--)
			;
	if (begins(line, "VA "))
		size = line + 3;
	if (size) {
		all->answers->hits++;
		c->skip = strtoull(size, NULL, 10) + 2;
		return;
	}
	if (begins(line, "EN\r") || begins(line, "HD"))
		return;
	if (!begins(line, "END") && !begins(line, "MN") &&
		!begins(line, "STORED"))
		all->answers->errors++;
	end_part(all, c, ask);
}

static void
take_redis_line(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask, const char *line)
{
	long long number = strtoll(line + 1, NULL, 10);

	if (*line == '*') {
		c->elements = (uint64_t)number;
		return;
	}
	if (*line == '$' && number >= 0) {
		all->answers->hits++;
		c->skip = (size_t)number + 2;
		c->ends_behind = true;
		return;
	}
	if (*line != '$' && *line != '+')
		all->answers->errors++;
	end_element(all, c, ask);
}

/* What is there of answers. */
static void
take(struct bench_clients *all, struct client *c, const struct bench_ask *ask)
{
	size_t at = 0;

	for (;;) {
		size_t left = c->in_used - at;
		size_t n = left < c->skip ? left : c->skip;
		char *line = c->in + at + n, *end;

		at += n;
		c->skip -= n;
		if (c->skip > 0)
			break;
		if (c->ends_behind) {
			c->ends_behind = false;
			end_element(all, c, ask);
		}
		end = memchr(line, '\n', c->in_used - at);
		if (end == NULL)
			break;
		at += (size_t)(end - line) + 1;
		if (ask->kind == BENCH_ASK_MGET || ask->kind == BENCH_ASK_MSET)
			take_redis_line(all, c, ask, line);
		else
			take_text_line(all, c, ask, line, end);
	}
	memmove(c->in, c->in + at, c->in_used - at);
	c->in_used -= at;
}

static bool
receive(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask)
{
	for (;;) {
		ssize_t n = recv(
			c->fd, c->in + c->in_used, IN_SIZE - c->in_used, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		if (n == 0) {
			errno = ECONNRESET;
			return false;
		}
		c->in_used += (size_t)n;
		take(all, c, ask);
	}
}

/* --- the loops --- */

static void
prepare(struct bench_clients *all, const struct bench_ask *ask,
	struct bench_answers *answers)
{
	*answers = (struct bench_answers){0};
	all->answers = answers;
	if (all->value_size != ask->value) {
		all->value = bench_realloc(all->value, ask->value);
		all->value_size = ask->value;
		memset(all->value, 'v', ask->value);
	}
}

/* Wait at most so long, and serve what is ready; false: nothing was. */
static bool
serve(struct bench_clients *all, const struct bench_ask *ask, int patience_ms)
{
	struct epoll_event event[64];
	int n = epoll_wait(all->epoll, event, 64, patience_ms);

	for (int i = 0; i < n; i++) {
		struct client *c = event[i].data.ptr;
		if (!send_some(c) || !receive(all, c, ask))
			bench_fail("the server went away: %s", strerror(errno));
	}
	return n > 0;
}

static void
draw_request(struct bench_clients *all, struct client *c,
	const struct bench_ask *ask, uint64_t *random, uint64_t due)
{
	uint64_t keys[BENCH_ASK_MOST];

	for (unsigned i = 0; i < ask->batch; i++)
		keys[i] = bench_draw(&ask->keys, random);
	add_request(all, c, ask, keys, ask->batch, due);
	if (!send_some(c))
		bench_fail("the server went away: %s", strerror(errno));
}

/* Until everything is answered. */
static void
finish(struct bench_clients *all, const struct bench_ask *ask)
{
	uint64_t start = bench_now();

	for (unsigned i = 0; i < all->n; i++) {
		struct client *c = &all->client[i];
		while (c->first != c->asked) {
			serve(all, ask, 100);
			if (bench_now() - start > PATIENCE_NS)
				bench_fail("the server does not answer");
		}
	}
}

void
bench_clients_fill(struct bench_clients *all, const struct bench_ask *ask,
	uint64_t from, uint64_t to)
{
	struct bench_ask one = *ask;
	struct bench_answers answers;
	struct client *c = &all->client[0];

	one.batch = 1;
	prepare(all, &one, &answers);
	while (from < to) {
		while (from < to && c->asked - c->first < OUTSTANDING / 4) {
			add_request(all, c, &one, &from, 1, bench_now());
			from++;
		}
		if (!send_some(c))
			bench_fail("the server went away: %s", strerror(errno));
		serve(all, &one, 100);
	}
	finish(all, &one);
	if (answers.errors)
		bench_fail("the server refused %llu of the first values",
			(unsigned long long)answers.errors);
}

static void
run_closed(struct bench_clients *all, const struct bench_ask *ask, uint64_t end,
	uint64_t *random)
{
	while (bench_now() < end) {
		for (unsigned i = 0; i < all->n; i++) {
			struct client *c = &all->client[i];
			if (c->first == c->asked)
				draw_request(all, c, ask, random, bench_now());
		}
		serve(all, ask, 1);
	}
}

static void
run_open(struct bench_clients *all, const struct bench_ask *ask, double rate,
	uint64_t end, uint64_t *random)
{
	uint64_t start = bench_now(), asked = 0, now = start;

	while (now < end) {
		uint64_t due = start + (uint64_t)((double)asked * 1e9 / rate);
		struct client *c = &all->client[asked % all->n];
		if (due <= now && c->asked - c->first < OUTSTANDING) {
			draw_request(all, c, ask, random, due);
			asked++;
		} else {
			serve(all, ask, 0);
		}
		now = bench_now();
	}
}

void
bench_clients_run(struct bench_clients *all, const struct bench_ask *ask,
	double rate, uint64_t ns, uint64_t *random,
	struct bench_answers *answers)
{
	uint64_t start = bench_now();

	prepare(all, ask, answers);
	if (rate > 0)
		run_open(all, ask, rate, start + ns, random);
	else
		run_closed(all, ask, start + ns, random);
	finish(all, ask);
	answers->ns = bench_now() - start;
}

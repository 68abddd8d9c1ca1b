/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.c -- a thread with an event loop, its connections and their sessions
 *
 * The thread that accepts passes connections to the workers in turn, by writing
 * their numbers into a pipe. Rejected: a listener in each worker: the kernel
 * then distributes connections by a hash, so a few of them often meet in one
 * thread; and it does not do that for Unix sockets.
 *
 * A connection has a session, with its buffers, only while a command or a reply
 * is incomplete; the worker keeps a few sessions for reuse. So an idle
 * connection takes the bytes of struct connection and what libevent and the
 * kernel have of it.
 *
 * A connection is either read from, while all that it asked for was sent, or
 * written to: a client that does not take its replies is not read from, and
 * holds no more than its buffers and one value. After a number of steps the
 * next connection gets its turn.
 */
#include "worker.h"

#include "session.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Commands of one connection before the next one's turn, and reads. */
#define STEPS 256
#define READS 16
#define PIECES 64
#define SESSIONS_KEPT 16
#define STOP (-1)

struct connection {
	struct event event;
	struct vmcd_worker *worker;
	struct connection *next, **link;
	struct vmcd_session *session; /* NULL: idle */
	uint64_t id;
	uint64_t stalled; /* its share of server->stalled */
	int fd;
	short waits_for;
	uint8_t protocol;
	bool ending; /* closed once all is sent */
};

struct vmcd_worker {
	struct vmcd_server *server;
	struct vmcd_counters *counters;
	struct event_base *base;
	struct event news;
	pthread_t thread;
	int pipe[2];
	struct connection *connections;
	struct vmcd_session *kept[SESSIONS_KEPT];
	unsigned sessions_kept;
};

static void serve_event(int fd, short what, void *arg);

static void
release_session(struct connection *c)
{
	struct vmcd_worker *worker = c->worker;

	if (worker->sessions_kept < SESSIONS_KEPT &&
		c->session->in_size <= 2 * VMCD_IN)
		worker->kept[worker->sessions_kept++] = c->session;
	else
		vmcd_session_delete(c->session);
	c->session = NULL;
}

static bool
get_session(struct connection *c)
{
	struct vmcd_worker *worker = c->worker;

	if (c->session)
		return true;
	c->session =
		worker->sessions_kept
			? worker->kept[--worker->sessions_kept]
			: vmcd_session_new(worker->server, worker->counters);
	if (!c->session)
		return false;
	vmcd_session_begin(c->session, c->id, c->protocol);
	return true;
}

/* What it holds of the memory that slow readers may hold. */
static void
set_stalled(struct connection *c, uint64_t bytes)
{
	atomic_fetch_add_explicit(&c->worker->server->stalled,
		bytes - c->stalled, memory_order_relaxed);
	c->stalled = bytes;
}

static void
close_connection(struct connection *c)
{
	event_del(&c->event);
	close(c->fd);
	if (c->session) {
		vmcd_session_end(c->session);
		release_session(c);
	}
	set_stalled(c, 0);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	atomic_fetch_sub_explicit(
		&c->worker->server->connections, 1, memory_order_relaxed);
	free(c);
}

/* EV_TIMEOUT: for its turn. */
static void
wait_for(struct connection *c, short what)
{
	static const struct timeval now;

	if (what == EV_TIMEOUT) {
		event_add(&c->event, &now);
		return;
	}
	if (c->waits_for == what)
		return;
	event_del(&c->event);
	event_assign(&c->event, c->worker->base, c->fd,
		(short)(what | EV_PERSIST), serve_event, c);
	c->waits_for = what;
	if (event_add(&c->event, NULL) < 0)
		close_connection(c);
}

/*
 * Values of slow readers stay pinned as long as all of them are less than an
 * eighth of the pool, and then are copied: nobody could store, otherwise.
 */
static bool
stall(struct connection *c)
{
	struct vmcd_server *server = c->worker->server;
	struct vmcd_out *out = &c->session->out;

	set_stalled(c, out->pinned);
	if (out->pinned == 0 || server->stalled <= server->options->memory / 8)
		return true;
	if (!vmcd_out_unpin(out))
		return false;
	set_stalled(c, 0);
	return true;
}

enum flushed { FLUSHED, BLOCKED, BROKEN };

static enum flushed
flush_output(struct connection *c)
{
	struct vmcd_out *out = &c->session->out;
	struct iovec pieces[PIECES];
	struct msghdr message = {.msg_iov = pieces};
	ssize_t sent;

	while (out->bytes > 0) {
		message.msg_iovlen =
			(size_t)vmcd_out_pieces(out, pieces, PIECES);
		sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return stall(c) ? BLOCKED : BROKEN;
		if (sent < 0)
			return BROKEN;
		vmcd_count(&c->worker->counters->bytes_written, (uint64_t)sent);
		vmcd_out_sent(out, (size_t)sent);
	}
	if (c->stalled)
		set_stalled(c, 0);
	return FLUSHED;
}

enum input { READ, DRAINED, NOTHING, ENDED };

/* DRAINED: that was all that there was. */
static enum input
read_input(struct connection *c)
{
	struct iovec room[VMCD_ROOM];
	struct msghdr message = {.msg_iov = room};
	int pieces = vmcd_session_room(c->session, room);
	size_t size = 0;
	ssize_t n;

	message.msg_iovlen = (size_t)pieces;
	for (int i = 0; i < pieces; i++)
		size += room[i].iov_len;
	do
		n = pieces > 0 ? recvmsg(c->fd, &message, 0) : 0;
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return NOTHING;
	if (n <= 0)
		return ENDED;
	vmcd_count(&c->worker->counters->bytes_read, (uint64_t)n);
	vmcd_session_received(c->session, (size_t)n);
	return (size_t)n < size ? DRAINED : READ;
}

static enum vmcd_step
make_steps(struct connection *c, unsigned *steps)
{
	enum vmcd_step step;

	do
		step = c->ending ? VMCD_CLOSE : vmcd_session_step(c->session);
	while (step == VMCD_ON && ++*steps < STEPS);
	c->protocol = (uint8_t)c->session->protocol;
	c->ending = step == VMCD_CLOSE;
	return step;
}

static void
serve(struct connection *c)
{
	unsigned steps = 0, reads = 0;
	enum input input = READ;

	for (;;) {
		enum vmcd_step step = make_steps(c, &steps);
		enum flushed flushed = flush_output(c);

		if (flushed == BLOCKED) {
			wait_for(c, EV_WRITE);
			return;
		}
		if (flushed == BROKEN || step == VMCD_CLOSE) {
			close_connection(c);
			return;
		}
		if (steps >= STEPS || reads >= READS) {
			wait_for(c, EV_TIMEOUT);
			return;
		}
		if (step != VMCD_NEEDS_INPUT)
			continue;
		if (input == READ) {
			input = read_input(c);
			reads++;
		} else {
			input = NOTHING;
		}
		if (input == ENDED) {
			close_connection(c);
			return;
		}
		if (input == NOTHING) {
			if (vmcd_session_is_idle(c->session))
				release_session(c);
			wait_for(c, EV_READ);
			return;
		}
	}
}

static void
serve_event(int fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	if (what & EV_TIMEOUT) /* libevent has deleted the event */
		c->waits_for = 0;
	if (get_session(c))
		serve(c);
	else
		close_connection(c);
}

static void
begin_connection(struct vmcd_worker *worker, int fd)
{
	struct connection *c = malloc(sizeof(*c));

	if (!c) {
		close(fd);
		atomic_fetch_sub_explicit(
			&worker->server->connections, 1, memory_order_relaxed);
		return;
	}
	*c = (struct connection){
		.worker = worker,
		.next = worker->connections,
		.link = &worker->connections,
		.id = 1 + atomic_fetch_add_explicit(
				  &worker->server->connections_ever, 1,
				  memory_order_relaxed),
		.fd = fd,
		.waits_for = EV_READ,
	};
	if (c->next)
		c->next->link = &c->next;
	worker->connections = c;
	event_assign(&c->event, worker->base, fd, EV_READ | EV_PERSIST,
		serve_event, c);
	if (event_add(&c->event, NULL) < 0)
		close_connection(c);
}

static void
hear_news(int fd, short what, void *arg)
{
	struct vmcd_worker *worker = arg;
	int news[64];
	ssize_t size = read(fd, news, sizeof(news));

	(void)what;
	for (size_t i = 0; size > 0 && i < (size_t)size / sizeof(*news); i++) {
		if (news[i] == STOP)
			event_base_loopbreak(worker->base);
		else
			begin_connection(worker, news[i]);
	}
}

static void *
run(void *arg)
{
	struct vmcd_worker *worker = arg;

	event_base_loop(worker->base, 0);
	return NULL;
}

static void
free_worker(struct vmcd_worker *worker)
{
	while (worker->connections)
		close_connection(worker->connections);
	while (worker->sessions_kept > 0)
		vmcd_session_delete(worker->kept[--worker->sessions_kept]);
	if (worker->base) {
		event_del(&worker->news);
		event_base_free(worker->base);
	}
	if (worker->pipe[0] >= 0) {
		close(worker->pipe[0]);
		close(worker->pipe[1]);
	}
	free(worker);
}

struct vmcd_worker *
vmcd_worker_start(struct vmcd_server *server, struct vmcd_counters *counters)
{
	struct vmcd_worker *worker = calloc(1, sizeof(*worker));
	int rc;

	if (!worker)
		return NULL;
	worker->server = server;
	worker->counters = counters;
	worker->pipe[0] = -1;
	if (pipe2(worker->pipe, O_CLOEXEC) < 0 ||
		!(worker->base = event_base_new())) {
		rc = errno;
		free_worker(worker);
		errno = rc;
		return NULL;
	}
	event_assign(&worker->news, worker->base, worker->pipe[0],
		EV_READ | EV_PERSIST, hear_news, worker);
	rc = event_add(&worker->news, NULL) < 0
		     ? ENOMEM
		     : pthread_create(&worker->thread, NULL, run, worker);
	if (rc) {
		free_worker(worker);
		errno = rc;
		return NULL;
	}
	return worker;
}

static void
tell(struct vmcd_worker *worker, int news)
{
	while (write(worker->pipe[1], &news, sizeof(news)) < 0 &&
		errno == EINTR)
		;
}

void
vmcd_worker_take(struct vmcd_worker *worker, int fd)
{
	atomic_fetch_add_explicit(
		&worker->server->connections, 1, memory_order_relaxed);
	tell(worker, fd);
}

void
vmcd_worker_stop(struct vmcd_worker *worker)
{
	if (!worker)
		return;
	tell(worker, STOP);
	pthread_join(worker->thread, NULL);
	free_worker(worker);
}

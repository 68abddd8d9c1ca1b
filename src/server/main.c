/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c -- vmemcached: options, cache, threads, and the loop that accepts
 *
 * The first thread accepts connections and distributes them to the workers,
 * handles signals and carries out a delayed flush_all. SIGTERM and SIGINT end
 * the server: listeners are closed first, then each worker closes its
 * connections, then the cache is deleted.
 */
#include "listen.h"
#include "worker.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Descriptors beside those of connections and threads. */
#define DESCRIPTORS 64
#define PAUSE_US 20000
#define TICK_US 100000

struct program {
	struct vmcd_server server;
	struct vmcd_options options;
	struct vmcd_listeners listeners;
	struct vmcd_worker *worker[VMCD_THREADS_MAX];
	unsigned next_worker;
	struct event_base *base;
	struct event *accepting[VMCD_LISTENERS_MAX];
	struct event *signals[3], *resume, *tick;
};

__attribute__((format(printf, 1, 2))) static void
complain(const char *format, ...)
{
	va_list arguments;

	fputs("vmemcached: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

uint64_t
vmcd_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
vmcd_flush(struct vmcd_server *server, int64_t seconds)
{
	uint64_t at = 0;

	if (seconds > 1)
		at = vmcd_now_ms() + (uint64_t)seconds * 1000;
	else
		vmcd_spaces_clear(&server->spaces);
	atomic_store_explicit(&server->flush_at, at, memory_order_relaxed);
}

static void
on_tick(int fd, short what, void *arg)
{
	struct vmcd_server *server = arg;
	uint64_t at =
		atomic_load_explicit(&server->flush_at, memory_order_relaxed);

	(void)fd;
	(void)what;
	if (at && vmcd_now_ms() >= at &&
		atomic_compare_exchange_strong(&server->flush_at, &at, 0))
		vmcd_spaces_clear(&server->spaces);
}

static void
set_accepting(struct program *program, bool on)
{
	for (unsigned i = 0; i < program->listeners.count; i++) {
		if (on)
			event_add(program->accepting[i], NULL);
		else
			event_del(program->accepting[i]);
	}
}

static void
on_resume(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	set_accepting(arg, true);
}

static void
reject(struct program *program, int fd)
{
	static const char reply[] = "ERROR Too many open connections\r\n";

	if (send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL) < 0)
		complain("a client too many: %s", strerror(errno));
	close(fd);
	atomic_fetch_add_explicit(
		&program->server.connections_rejected, 1, memory_order_relaxed);
}

/* Without descriptors or memory it is no use to be told that clients wait. */
static void
on_accept(int listener, short what, void *arg)
{
	static const struct timeval pause = {.tv_usec = PAUSE_US};
	static const int on = 1;
	struct program *program = arg;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			errno == ENOBUFS) {
			set_accepting(program, false);
			event_add(program->resume, &pause);
		}
		return;
	}
	if (program->server.connections >= program->options.connections) {
		reject(program, fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	vmcd_worker_take(program->worker[program->next_worker], fd);
	program->next_worker =
		(program->next_worker + 1) % program->options.threads;
}

static void
print_statistics(const struct program *program)
{
	char text[8192];

	if (vmemcache_format_statistics(program->server.spaces.cache,
		    VMEMCACHE_FORMAT_TEXT, text, sizeof(text)) < 0)
		complain("%s", vmemcache_errormsg());
	else
		fputs(text, stderr);
}

static void
on_signal(int number, short what, void *arg)
{
	struct program *program = arg;

	(void)what;
	if (number == SIGUSR1)
		print_statistics(program);
	else
		event_base_loopbreak(program->base);
}

static int
open_cache(struct program *program)
{
	const struct vmcd_options *options = &program->options;
	VMEMcache *cache = vmemcache_new();
	const struct vmcd_named *named = NULL;

	if (options->verbose)
		complain("makes %zu bytes ready in %s", options->memory,
			options->directory);
	program->server.spaces.cache = cache;
	if (cache && vmemcache_set_size(cache, options->memory) == 0 &&
		vmemcache_set_eviction_policy(cache, options->policy) == 0 &&
		vmemcache_add(cache, options->directory) == 0 &&
		vmcd_spaces_begin(
			&program->server.spaces, cache, options, &named) == 0)
		return 0;
	if (named)
		complain("--space=%.*s: %s", (int)named->name.size,
			named->name.at, vmemcache_errormsg());
	else
		complain("%s", vmemcache_errormsg());
	return -1;
}

static void
raise_descriptors(const struct program *program)
{
	struct rlimit limit;
	rlim_t wanted = program->options.connections +
			4 * program->options.threads + DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		complain("%u connections need more descriptors than there are: "
			 "%s",
			program->options.connections, strerror(errno));
}

static int
start_workers(struct program *program)
{
	unsigned threads = program->options.threads;
	struct vmcd_server *server = &program->server;

	server->counters = calloc(threads, sizeof(*server->counters));
	for (unsigned i = 0; server->counters && i < threads; i++) {
		program->worker[i] =
			vmcd_worker_start(server, &server->counters[i]);
		if (!program->worker[i]) {
			complain("cannot start a thread: %s", strerror(errno));
			return -1;
		}
	}
	return server->counters ? 0 : -1;
}

static int
make_events(struct program *program)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
	static const struct timeval tick = {.tv_usec = TICK_US};

	program->base = event_base_new();
	if (!program->base)
		return -1;
	for (unsigned i = 0; i < program->listeners.count; i++) {
		program->accepting[i] =
			event_new(program->base, program->listeners.fd[i],
				EV_READ | EV_PERSIST, on_accept, program);
		if (!program->accepting[i])
			return -1;
	}
	for (unsigned i = 0; i < 3; i++) {
		program->signals[i] = evsignal_new(
			program->base, numbers[i], on_signal, program);
		if (!program->signals[i] ||
			event_add(program->signals[i], NULL) < 0)
			return -1;
	}
	program->resume = evtimer_new(program->base, on_resume, program);
	program->tick = event_new(
		program->base, -1, EV_PERSIST, on_tick, &program->server);
	if (!program->resume || !program->tick)
		return -1;
	event_add(program->tick, &tick);
	set_accepting(program, true);
	return 0;
}

static void
free_events(struct program *program)
{
	for (unsigned i = 0; i < program->listeners.count; i++) {
		if (program->accepting[i])
			event_free(program->accepting[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		if (program->signals[i])
			event_free(program->signals[i]);
	}
	if (program->resume)
		event_free(program->resume);
	if (program->tick)
		event_free(program->tick);
	if (program->base)
		event_base_free(program->base);
	libevent_global_shutdown();
}

/* Where it can be found, for a person, and for tests that let it choose. */
static void
announce(const struct program *program)
{
	if (program->options.verbose == 0)
		return;
	if (program->listeners.inherited)
		complain("serves %u inherited sockets",
			program->listeners.count);
	else if (program->options.socket)
		complain("serves %s", program->options.socket);
	else
		complain("serves %s port %u", program->options.address,
			program->options.port);
}

/* Clients come last: one that is let in too early waits, and gives up. */
static int
run(struct program *program)
{
	struct vmcd_options *options = &program->options;
	struct vmcd_listeners *listeners = &program->listeners;
	char why[256];

	if (vmcd_listen_prepare(options, listeners, why, sizeof(why)) < 0) {
		complain("%s", why);
		return -1;
	}
	options->port = listeners->port;
	raise_descriptors(program);
	if (open_cache(program) < 0 || start_workers(program) < 0)
		return -1;
	if (vmcd_listen(options, listeners, why, sizeof(why)) < 0) {
		complain("%s", why);
		return -1;
	}
	if (make_events(program) < 0) {
		complain("no memory for events");
		return -1;
	}
	announce(program);
	vmcd_notify("READY=1");
	event_base_dispatch(program->base);
	vmcd_notify("STOPPING=1");
	return 0;
}

int
main(int argc, char **argv)
{
	static struct program program;
	int rc;

	vmcd_options_parse(argc, argv, &program.options);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	program.server.options = &program.options;
	program.server.started = time(NULL);
	rc = run(&program);
	free_events(&program);
	vmcd_listen_end(&program.listeners);
	for (unsigned i = 0; i < VMCD_THREADS_MAX; i++)
		vmcd_worker_stop(program.worker[i]);
	vmemcache_delete(program.server.spaces.cache);
	vmcd_spaces_end(&program.server.spaces);
	free(program.server.counters);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.c -- sockets: inherited from systemd, Unix, or TCP; and what the
 * service manager is told
 *
 * TCP is bound early, so that a port that is not to be had is told before the
 * memory is made ready, and listened to late: until then clients are refused,
 * where they would else wait without an answer. A Unix socket is bound late:
 * while nobody listens to it, another server would take it as left over.
 *
 * Both of systemd's interfaces are a few lines over environment variables and a
 * datagram, documented as stable, so its library is not needed for them.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_INHERITED 3
#define BACKLOG 1024

static int
inherit(struct vmcd_listeners *listeners)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long count = fds ? strtol(fds, NULL, 10) : 0;

	if (!pid || strtol(pid, NULL, 10) != getpid() || count <= 0)
		return 0;
	for (int fd = FIRST_INHERITED; count > 0; fd++, count--) {
		if (listeners->count == VMCD_LISTENERS_MAX)
			break;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
			fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			return -1;
		listeners->fd[listeners->count++] = fd;
	}
	listeners->inherited = true;
	return 0;
}

static bool
fill_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address->sun_path, path);
	return true;
}

/* Is a socket there that nobody listens to any more? */
static bool
is_left_over(const struct sockaddr_un *address)
{
	struct stat status;
	int fd, rc;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	rc = rc < 0 && errno == ECONNREFUSED;
	close(fd);
	return rc;
}

static int
listen_unix(
	const struct vmcd_options *options, struct vmcd_listeners *listeners)
{
	struct sockaddr_un address;
	mode_t mask;
	int fd, rc;

	if (!fill_address(&address, options->socket))
		return -1;
	if (is_left_over(&address))
		unlink(options->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	listeners->fd[listeners->count++] = fd;
	mask = umask(~(mode_t)options->mode & 0777);
	rc = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0)
		return -1;
	listeners->path = options->socket;
	return listen(fd, BACKLOG);
}

static int
bind_at(const struct addrinfo *at, struct vmcd_listeners *listeners)
{
	static const int on = 1;
	int fd = socket(at->ai_family,
		at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	listeners->fd[listeners->count++] = fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return bind(fd, at->ai_addr, at->ai_addrlen);
}

/* That of a TCP socket, else 0. */
static uint16_t
port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

static int
bind_tcp(const struct vmcd_options *options, struct vmcd_listeners *listeners,
	const char **why)
{
	static const struct addrinfo hints = {.ai_flags = AI_PASSIVE,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM};
	struct addrinfo *all;
	char port[8];
	int rc;

	snprintf(port, sizeof(port), "%u", options->port);
	rc = getaddrinfo(options->address, port, &hints, &all);
	if (rc) {
		*why = gai_strerror(rc);
		return -1;
	}
	for (struct addrinfo *at = all; at && rc == 0; at = at->ai_next) {
		if (listeners->count == VMCD_LISTENERS_MAX)
			break;
		rc = bind_at(at, listeners);
	}
	*why = strerror(errno);
	freeaddrinfo(all);
	return rc;
}

static int
listen_tcp(const struct vmcd_listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++) {
		if (listen(listeners->fd[i], BACKLOG) < 0)
			return -1;
	}
	return 0;
}

static void
explain(const struct vmcd_options *options, const char *reason, char *why,
	size_t size)
{
	if (options->socket)
		snprintf(why, size, "%s: %s", options->socket, reason);
	else
		snprintf(why, size, "%s port %u: %s", options->address,
			options->port, reason);
}

int
vmcd_listen_prepare(const struct vmcd_options *options,
	struct vmcd_listeners *listeners, char *why, size_t size)
{
	const char *reason;

	*listeners = (struct vmcd_listeners){0};
	if (inherit(listeners) < 0) {
		snprintf(why, size, "what was inherited is no socket");
		return -1;
	}
	if (!listeners->inherited && !options->socket &&
		bind_tcp(options, listeners, &reason)) {
		explain(options, reason, why, size);
		return -1;
	}
	for (unsigned i = 0; i < listeners->count && !listeners->port; i++)
		listeners->port = port_of(listeners->fd[i]);
	return 0;
}

int
vmcd_listen(const struct vmcd_options *options,
	struct vmcd_listeners *listeners, char *why, size_t size)
{
	if (listeners->inherited)
		return 0;
	if (options->socket ? listen_unix(options, listeners)
			    : listen_tcp(listeners)) {
		explain(options, strerror(errno), why, size);
		return -1;
	}
	return 0;
}

void
vmcd_listen_end(struct vmcd_listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++)
		close(listeners->fd[i]);
	if (listeners->path)
		unlink(listeners->path);
	listeners->count = 0;
}

void
vmcd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	int fd;

	if (!path || (*path != '/' && *path != '@') ||
		!fill_address(&address, path))
		return;
	if (*path == '@') /* the abstract name space */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			    strlen(path)));
	close(fd);
}

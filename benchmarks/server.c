/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.c -- a server of another process, started for a measurement
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"

enum { MAX_ARGUMENTS = 32 };
#define PATIENCE_NS UINT64_C(20000000000)

static void
make_directory(struct bench_server *s)
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL ||
		strlen(parent) > 50) /* a socket's path is short */
		parent = "/tmp";
	snprintf(s->directory, sizeof(s->directory),
		"%s/vmemcache-bench.XXXXXX", parent);
	if (mkdtemp(s->directory) == NULL)
		bench_fail("%s: %s", s->directory, strerror(errno));
	snprintf(s->path, sizeof(s->path), "%s/socket", s->directory);
}

/* A port that nobody has now. */
static int
free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		bench_fail("a port: %s", strerror(errno));
	close(fd);
	return ntohs(address.sin_port);
}

static _Noreturn void
become(char *const *arguments, pid_t parent)
{
	int nowhere = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	dup2(nowhere, STDIN_FILENO);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	execvp(arguments[0], arguments);
	_exit(127);
}

void
bench_server_start(struct bench_server *s, const char *const *arguments)
{
	char *copy[MAX_ARGUMENTS + 1] = {NULL};
	char port[16];
	pid_t self = getpid();

	*s = (struct bench_server){0};
	for (size_t i = 0; i < MAX_ARGUMENTS && arguments[i]; i++) {
		copy[i] = (char *)(uintptr_t)arguments[i];
		if (strcmp(arguments[i], "%s") == 0) {
			make_directory(s);
			copy[i] = s->path;
		} else if (strcmp(arguments[i], "%p") == 0) {
			s->port = free_port();
			snprintf(port, sizeof(port), "%d", s->port);
			copy[i] = port;
		}
	}
	fflush(stdout);
	s->pid = fork();
	if (s->pid == 0)
		become(copy, self);
	if (s->pid < 0)
		bench_fail("fork: %s", strerror(errno));
}

static int
try_connect(const struct bench_server *s)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in loopback = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)s->port)};
	int fd = socket(
		s->port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		bench_fail("socket: %s", strerror(errno));
	snprintf(local.sun_path, sizeof(local.sun_path), "%s", s->path);
	if (s->port)
		rc = connect(
			fd, (struct sockaddr *)&loopback, sizeof(loopback));
	else
		rc = connect(fd, (struct sockaddr *)&local, sizeof(local));
	if (rc == 0) {
		if (s->port)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
				sizeof(int));
		return fd;
	}
	close(fd);
	return -1;
}

int
bench_server_connect(struct bench_server *s, const char *name)
{
	uint64_t start = bench_now();
	const char *wrong = NULL;
	int fd;

	while ((fd = try_connect(s)) < 0 && wrong == NULL) {
		if (waitpid(s->pid, NULL, WNOHANG) != 0)
			wrong = "it did not start";
		else if (bench_now() - start > PATIENCE_NS)
			wrong = "it does not answer";
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	if (fd < 0) {
		bench_server_hide(s);
		bench_fail("%s: %s", name, wrong);
	}
	return fd;
}

void
bench_server_hide(struct bench_server *s)
{
	if (s->port)
		return;
	unlink(s->path);
	rmdir(s->directory);
}

uint64_t
bench_server_cpu(const struct bench_server *s)
{
	clockid_t clock;
	int rc = clock_getcpuclockid(s->pid, &clock);

	if (rc)
		bench_fail("processor time of a server: %s", strerror(rc));
	return bench_clock(clock);
}

void
bench_server_stop(struct bench_server *s)
{
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
}

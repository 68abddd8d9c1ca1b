/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h -- a server of another process, started for a measurement
 *
 * It listens on a Unix socket in a private directory, or at a port of the
 * loopback interface. The kernel kills it when its parent goes.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include "options.h"

#include <sys/types.h>

struct bench_server {
	pid_t pid;
	int port; /* 0: it is at path */
	char directory[80];
	char path[96];
};

/*
 * Start the program that arguments[0] names, found as a shell would find it.
 * Among the arguments, "%s" stands for the socket's path and "%p" for the port;
 * of which there is one. Its output is dropped.
 */
void bench_server_start(struct bench_server *s, const char *const *arguments);

/*
 * A connection, as soon as it listens; ends the run if it does not within 20
 * seconds, or has ended.
 */
int bench_server_connect(struct bench_server *s, const char *name);

/* The socket and its directory are no longer needed: no other connection. */
void bench_server_hide(struct bench_server *s);

/* Nanoseconds of processor time that it has used. */
uint64_t bench_server_cpu(const struct bench_server *s);

void bench_server_stop(struct bench_server *s);

#endif

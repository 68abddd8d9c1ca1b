/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.h -- the sockets that clients connect to
 */
#ifndef VMCD_LISTEN_H
#define VMCD_LISTEN_H

#include "options.h"

#define VMCD_LISTENERS_MAX 16

struct vmcd_listeners {
	int fd[VMCD_LISTENERS_MAX];
	unsigned count;
	bool inherited;   /* by socket activation */
	uint16_t port;    /* of the first that is TCP; 0: none is */
	const char *path; /* of the Unix socket that was made, or NULL */
};

/*
 * Those that systemd has opened (sd_listen_fds(3)), or else those that the
 * options name, to which nobody can connect yet. 0, or -1, and `why` (of
 * `size` bytes) says what is wrong.
 */
int vmcd_listen_prepare(const struct vmcd_options *options,
	struct vmcd_listeners *listeners, char *why, size_t size);
/* Clients can connect from now on. Returns the same. */
int vmcd_listen(const struct vmcd_options *options,
	struct vmcd_listeners *listeners, char *why, size_t size);
/* May follow either, whatever it returned. */
void vmcd_listen_end(struct vmcd_listeners *listeners);

/*
 * Tell the service manager, if $NOTIFY_SOCKET names one: "READY=1",
 * "STOPPING=1" (sd_notify(3)).
 */
void vmcd_notify(const char *state);

#endif

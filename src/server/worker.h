/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.h -- threads that serve connections
 */
#ifndef VMCD_WORKER_H
#define VMCD_WORKER_H

#include "server.h"

struct vmcd_worker;

/* A thread with an event loop of its own. NULL: errno says why. */
struct vmcd_worker *vmcd_worker_start(
	struct vmcd_server *server, struct vmcd_counters *counters);
/* Close its connections and end it. NULL is ignored. */
void vmcd_worker_stop(struct vmcd_worker *worker);

/* It serves that connection, a nonblocking socket, from now on. */
void vmcd_worker_take(struct vmcd_worker *worker, int fd);

#endif

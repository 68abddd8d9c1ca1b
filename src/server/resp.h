/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resp.h -- requests of Redis' protocol (RESP2), taken apart
 *
 * A request is an array of strings: *3 $3 SET $1 k $5 value, each with a line
 * end. Reading goes on where it stopped as more arrives; the strings are
 * offsets from the start of the request.
 */
#ifndef VMCD_RESP_H
#define VMCD_RESP_H

#include "number.h"

/* Of one request. */
#define VMCD_RESP_STRINGS (1u << 16)
/* Bytes of all that MULTI queues. */
#define VMCD_RESP_QUEUE (1u << 20)

struct vmcd_resp {
	size_t at;       /* bytes read */
	size_t count;    /* strings that the request has; 0: not yet known */
	size_t complete; /* those that are there */
	struct vmcd_resp_string {
		size_t from, size;
	} * string;
	size_t room;   /* of string[] */
	size_t cursor; /* strings of a long reply that are answered */
	/* of the connection: its name, and what MULTI has queued */
	char *name;
	bool multi, failed, executing;
	char *queue;
	size_t queued, queue_size, queue_at;
};

enum vmcd_resp_result {
	VMCD_RESP_WHOLE,
	VMCD_RESP_MORE,  /* bytes are missing: *wanted in all, if known */
	VMCD_RESP_WRONG, /* not that protocol, or more than is allowed */
	VMCD_RESP_NO_MEMORY
};

/*
 * Go on with the request that begins at `bytes`, of which `size` are there. A
 * request of more than `most` bytes is wrong. *error: what to reply then.
 */
enum vmcd_resp_result vmcd_resp_parse(struct vmcd_resp *resp, const char *bytes,
	size_t size, size_t most, size_t *wanted, const char **error);

/* Make it ready for the next request. */
void vmcd_resp_next(struct vmcd_resp *resp);
/* Nothing is queued any more. */
void vmcd_resp_discard(struct vmcd_resp *resp);
void vmcd_resp_close(struct vmcd_resp *resp);

/* Does it match a pattern of Redis: * ? [a-z] [^a] \x ? */
bool vmcd_glob(struct vmcd_span pattern, struct vmcd_span text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h -- a client's bytes in, the server's bytes out
 *
 * All that is spoken, without a socket. Whoever owns the session reads into the
 * room that it names, lets it make steps until it needs something, and sends
 * what is in its output. One thread at a time.
 */
#ifndef VMCD_SESSION_H
#define VMCD_SESSION_H

#include "items.h"
#include "out.h"
#include "request.h"
#include "resp.h"
#include "server.h"

/* The input buffer, and what it may grow to for the keys of one get. */
#define VMCD_IN (16u << 10)
#define VMCD_LINE_MAX (1u << 20)
/* Pieces of room for input. */
#define VMCD_ROOM 16
/* Values up to that size are copied, as a piece of its own would cost more. */
#define VMCD_COPIED 2048

enum vmcd_protocol { VMCD_UNDECIDED, VMCD_TEXT, VMCD_RESP };

enum vmcd_step {
	VMCD_ON,          /* a step was made */
	VMCD_NEEDS_INPUT, /* all that is there was understood */
	VMCD_NEEDS_ROOM,  /* the output is full */
	VMCD_CLOSE        /* send what is there, and close */
};

struct vmcd_session {
	struct vmcd_server *server;
	struct vmcd_counters *counters;
	uint64_t id; /* of the connection */
	enum vmcd_protocol protocol;
	enum {
		VMCD_IN_LINE,  /* a command is expected, or there in part */
		VMCD_IN_KEYS,  /* the keys of a get are being answered */
		VMCD_IN_VALUE, /* a value is received into the cache */
		VMCD_IN_SKIP   /* bytes are skipped */
	} state;
	/* input: bytes [from, to) */
	char *in;
	size_t in_size, from, to;
	size_t scanned; /* of those, bytes that have no line end */
	size_t wanted;  /* bytes that the buffer is to have room for */
	size_t skip;
	/* the line of the command in hand, which stays in the input until it is
	   done, with its end; and how far its keys were answered */
	size_t line, line_end, cursor;
	struct vmemcache_item value; /* reserved, in state IN_VALUE */
	struct vmcd_how how;
	size_t value_size, received;
	size_t last_sent; /* size of a value */
	struct vmcd_resp resp;
	struct vmcd_request request;
	struct vmcd_out out;
};

/* NULL: there is no memory. */
struct vmcd_session *vmcd_session_new(
	struct vmcd_server *server, struct vmcd_counters *counters);
void vmcd_session_delete(struct vmcd_session *session);

/*
 * Make it ready for a client, whose protocol may be known from before. Between
 * two commands a session that is idle can be given to another client.
 */
void vmcd_session_begin(
	struct vmcd_session *session, uint64_t id, enum vmcd_protocol protocol);
bool vmcd_session_is_idle(const struct vmcd_session *session);
/* The client has gone: pins and reservations are given back. */
void vmcd_session_end(struct vmcd_session *session);

enum vmcd_step vmcd_session_step(struct vmcd_session *session);

/* Where to read to; how many pieces, or 0: there is no memory. */
int vmcd_session_room(
	struct vmcd_session *session, struct iovec room[VMCD_ROOM]);
void vmcd_session_received(struct vmcd_session *session, size_t size);

/* --- for the protocols --- */

enum vmcd_step vmcd_text_step(struct vmcd_session *session);
enum vmcd_step vmcd_resp_step(struct vmcd_session *session);

/* The commands: those that have no value, and those whose value is here. */
enum vmcd_step vmcd_text_run(struct vmcd_session *session);
enum vmcd_step vmcd_text_keys(struct vmcd_session *session);
void vmcd_meta_run(struct vmcd_session *session);
/*
 * An mg, and those that follow it in the input, which are then looked up
 * together. Their lines are done.
 */
enum vmcd_step vmcd_meta_gets(struct vmcd_session *session);

/* What became of a value that was to be stored; the reply. */
void vmcd_text_stored(struct vmcd_session *session, int rc);
void vmcd_meta_stored(struct vmcd_session *session, int rc, uint64_t version);
/* How the request is to be stored. */
void vmcd_text_how(const struct vmcd_request *r, struct vmcd_how *how);
void vmcd_meta_how(const struct vmcd_request *r, struct vmcd_how *how);
/* Does it put its value before or behind another one? */
bool vmcd_is_concat(const struct vmcd_request *r, bool *before);

/* A value that is pinned in a slot of the output, and no longer needed else. */
void vmcd_send_value(
	struct vmcd_session *session, struct vmemcache_item *slot, size_t size);

/*
 * How many keys to look up next: as many as fit the output if their values are
 * as large as the last one that was sent. The output may not be full.
 */
size_t vmcd_batch_size(const struct vmcd_session *session);
/* The reply for one of several keys. slot NULL: it is not there. */
typedef void vmcd_answer(struct vmcd_session *session, struct vmcd_span key,
	struct vmemcache_item *slot, const struct vmcd_seen *seen);
/*
 * Look so many keys up, at most VMCD_BATCH, and answer them until the output is
 * full. How many were answered: the others are to be looked up again.
 */
size_t vmcd_answer_keys(struct vmcd_session *session,
	const struct vmcd_span *keys, size_t count, vmcd_answer *answer);

/* In state IN_VALUE: the value is no longer expected; the state is IN_LINE. */
void vmcd_session_leave_value(struct vmcd_session *session);

/*
 * Text to be freed: what spaces have, one of them or (prefix of no bytes) all,
 * as far as 1 MiB goes; for `stats`, or as INFO has it. NULL: no memory.
 */
char *vmcd_spaces_text(const struct vmcd_spaces *spaces,
	struct vmcd_span prefix, bool for_info, size_t *size);
/* What `stats` replies; false: it knows no such statistics. */
bool vmcd_stats_reply(struct vmcd_session *session, struct vmcd_span which);

#endif

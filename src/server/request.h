/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.h -- a command line of memcached's text protocol, taken apart
 *
 * Pure functions over a buffer: text.c for the classic commands, meta.c for
 * those of two letters. They know no cache and no connection. Spans point into
 * the line, except for a key that was given in base64.
 */
#ifndef VMCD_REQUEST_H
#define VMCD_REQUEST_H

#include "number.h"

#define VMCD_KEY_MAX 250
#define VMCD_META_FLAGS_MAX 22

enum vmcd_command {
	VMCD_NOTHING, /* there is an error */
	VMCD_GET,
	VMCD_GETS,
	VMCD_GAT,
	VMCD_GATS,
	VMCD_SET,
	VMCD_ADD,
	VMCD_REPLACE,
	VMCD_APPEND,
	VMCD_PREPEND,
	VMCD_CAS,
	VMCD_DELETE,
	VMCD_INCR,
	VMCD_DECR,
	VMCD_TOUCH,
	VMCD_FLUSH_ALL,
	VMCD_FLUSH_PREFIX,
	VMCD_VERBOSITY,
	VMCD_VERSION,
	VMCD_STATS,
	VMCD_QUIT,
	VMCD_META_GET,
	VMCD_META_SET,
	VMCD_META_DELETE,
	VMCD_META_ARITHMETIC,
	VMCD_META_DEBUG,
	VMCD_META_NOOP,
};

/* The flags of a meta command, and what their tokens say. */
struct vmcd_meta {
	struct vmcd_span flag[VMCD_META_FLAGS_MAX];
	unsigned flags;
	bool seen[128];         /* by letter */
	int64_t vivify;         /* N */
	int64_t recache;        /* R */
	int64_t exptime;        /* T */
	uint64_t delta;         /* D */
	uint64_t initial;       /* J */
	char mode;              /* M; 0: none */
	bool binary;            /* b: the key was given in base64 */
	char key[VMCD_KEY_MAX]; /* then this is the key */
};

struct vmcd_request {
	enum vmcd_command command;
	const char *error; /* the reply, if the line is wrong; else NULL */
	bool quiet;        /* noreply */
	bool has_value;    /* value_size bytes and a line end follow */
	uint32_t client_flags;
	int64_t exptime;
	uint64_t number; /* unique number (cas), or delta */
	size_t value_size;
	struct vmcd_span key;
	struct vmcd_span rest; /* get, gat: the keys; stats: arguments */
	struct vmcd_meta meta;
};

/* The next word of *text, which goes on behind it; of no size: there is none.
 */
struct vmcd_span vmcd_word(struct vmcd_span *text);

/*
 * Take a line apart, which stands there without its end. With an error
 * has_value tells whether the value is to be skipped.
 */
void vmcd_parse(struct vmcd_span line, struct vmcd_request *request);

/* The same of a meta command, whose name has been taken from the line. */
void vmcd_parse_meta(struct vmcd_span name, struct vmcd_span rest,
	struct vmcd_request *request);

/* Of base64 with padding; false: it is none, or more than `room` bytes. */
bool vmcd_base64_decode(
	struct vmcd_span text, char *to, size_t room, size_t *size);
/* `to` has room for 4 characters for each 3 bytes begun; how many it took. */
size_t vmcd_base64_encode(struct vmcd_span bytes, char *to);

#endif

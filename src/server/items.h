/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * items.h -- items of the server, as the cache keeps them: the only file
 * between the protocols and the calls of the library
 *
 * A value in the cache begins with VMCD_HEAD bytes of the server's own: a byte
 * of marks, and the second in which the value was last read. The client's flags
 * are the tag; its unique number is the version.
 *
 * Each key is looked for, and stored, in the space of its prefix (spaces.h).
 *
 * All functions return 0 or a negative errno.
 */
#ifndef VMCD_ITEMS_H
#define VMCD_ITEMS_H

#include "spaces.h"

#include "libvmemcache.h"

#define VMCD_HEAD 5

/* The longest value that counts as a number, blanks included. */
#define VMCD_NUMBER_TEXT 64

/* Marks of an item. */
enum {
	VMCD_FETCHED = 1, /* a client has read it */
	VMCD_STALE = 2,   /* md with I, or ms with I and an old number */
	VMCD_WON = 4,     /* a client was told to renew it */
	VMCD_BINARY = 8,  /* its key was given in base64 */
};

/* A time to live that is over: the item goes as soon as it is stored. */
#define VMCD_GONE (VMEMCACHE_FOREVER - 1)
#define VMCD_MONTH (INT64_C(60) * 60 * 24 * 30)

/*
 * Milliseconds that an item lives, of a time as memcached has it: 0 is for
 * ever, up to a month it counts from now, above it is a time of the world.
 */
uint64_t vmcd_ttl(int64_t exptime);
/* Seconds left, as memcached tells them; -1: for ever. */
int64_t vmcd_seconds(uint64_t ttl_ms);

/* A client's unique number as a version: 0, too, is one that no item has. */
static inline uint64_t
vmcd_unique(uint64_t number)
{
	return number ? number : UINT64_MAX;
}

/* How to store. All zero: under all circumstances, for ever. */
struct vmcd_how {
	enum vmemcache_mode mode;
	uint64_t version; /* VMEMCACHE_IF_VERSION */
	uint64_t ttl_ms;  /* 0: for ever */
	bool keep_ttl;
	uint32_t client_flags;
	unsigned marks;
};

/* What is read of an item beside its bytes. */
struct vmcd_seen {
	size_t size; /* of the value, without the head */
	unsigned marks;
	uint32_t idle; /* seconds since it was last read, or stored */
	uint64_t version;
	uint64_t ttl_ms;
	uint32_t client_flags;
};

/*
 * The item, pinned; its value begins behind VMCD_HEAD bytes. quiet: it does not
 * count as read. *seen is how it was before. ENOENT, ENOMEM.
 */
int vmcd_pin(struct vmcd_spaces *spaces, struct vmcd_span key, bool quiet,
	struct vmemcache_item *item, struct vmcd_seen *seen);

/*
 * Pin what is there of these keys, at most VMCD_BATCH, as vmcd_pin() does;
 * together, so that the processor waits for the memory of all of them at a
 * time. Of what is not there iov_count is -1.
 */
#define VMCD_BATCH 16
void vmcd_pin_many(struct vmcd_spaces *spaces, const struct vmcd_span *keys,
	size_t count, struct vmemcache_item *items);
/* It is about to be sent: that counts as read. *seen is how it was before. */
void vmcd_read(const struct vmemcache_item *item, struct vmcd_seen *seen);

/* Set that mark of a pinned item; true if it was not set. */
bool vmcd_mark(const struct vmemcache_item *item, unsigned mark);

/*
 * Store `size` bytes from `value` on. The VMCD_HEAD bytes before these are
 * written to while it runs, and are then what they were; the key may be in
 * them. *version, unless NULL, becomes the new one. EEXIST, ENOENT, ESTALE,
 * ENOSPC, ENOMEM.
 */
int vmcd_store(struct vmcd_spaces *spaces, struct vmcd_span key, char *value,
	size_t size, const struct vmcd_how *how, uint64_t *version);

/*
 * Room for a value of `size` bytes, to be filled in any number of steps, and
 * then published or given back. The key need not stay.
 */
int vmcd_reserve(struct vmcd_spaces *spaces, struct vmcd_span key, size_t size,
	const struct vmcd_how *how, struct vmemcache_item *item);
int vmcd_publish(struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmemcache_item *item, size_t size, const struct vmcd_how *how,
	uint64_t *version);

/* version 0: whatever is there. ENOENT, ESTALE. */
int vmcd_remove(
	struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t version);
int vmcd_touch(
	struct vmcd_spaces *spaces, struct vmcd_span key, uint64_t ttl_ms);

/*
 * Put bytes before or behind the value that is there. version 0: whatever it
 * is. The marks are gone then. *length, unless NULL, becomes the length of all
 * of it. E2BIG: it would be larger than `most`. ENOENT, ESTALE, ENOSPC, ENOMEM.
 */
int vmcd_concat(struct vmcd_spaces *spaces, struct vmcd_span key,
	struct vmcd_span bytes, bool before, uint64_t version, size_t most,
	size_t *length, uint64_t *new_version);

/*
 * Add to the number that is there, or subtract, but not below 0. *number is the
 * new one. EDOM: there is no number. ENOENT, ESTALE, ENOSPC, ENOMEM.
 */
int vmcd_arithmetic(struct vmcd_spaces *spaces, struct vmcd_span key,
	bool subtract, uint64_t delta, uint64_t version, uint64_t *number,
	struct vmcd_seen *seen);

/*
 * Redis' way: a number with a sign and nothing else, which is 0 where there is
 * none. EDOM; EOVERFLOW; ENOSPC, ENOMEM.
 */
int vmcd_add_signed(struct vmcd_spaces *spaces, struct vmcd_span key,
	int64_t delta, int64_t *number);

/*
 * Mark the item as stale, and give it a new version. ttl_ms 0: it keeps its
 * time. ENOENT, ESTALE, ENOSPC, ENOMEM.
 */
int vmcd_invalidate(struct vmcd_spaces *spaces, struct vmcd_span key,
	uint64_t version, uint64_t ttl_ms);

#endif

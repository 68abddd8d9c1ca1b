/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * out.h -- what is to be sent on a connection
 *
 * A sequence of bytes in parts: text, copied into a buffer, and values, which
 * stay pinned in the cache until the last of their bytes was sent. The thread
 * of the connection alone uses it.
 */
#ifndef VMCD_OUT_H
#define VMCD_OUT_H

#include "libvmemcache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Pinned values at a time. */
#define VMCD_OUT_ITEMS 32
/* With that many bytes it is full: no other command is begun. */
#define VMCD_OUT_BYTES (256u << 10)
#define VMCD_OUT_PARTS (2 * VMCD_OUT_ITEMS + 2)

struct vmcd_out {
	VMEMcache *cache;
	char *text;
	size_t text_used, text_size;
	struct vmcd_out_part {
		bool pinned;
		size_t from; /* in the text, or in the value */
		size_t size;
		size_t item; /* its index, if it is a pinned value */
	} part[VMCD_OUT_PARTS];
	size_t first, parts; /* the first that is not sent whole; the end */
	size_t items;        /* slots of item[] in use, sent ones as well */
	size_t pinned;       /* bytes of the pool that it keeps in use */
	size_t bytes;        /* of all that is still to be sent */
	bool no_memory;      /* something is missing: close the connection */
	struct vmemcache_item item[VMCD_OUT_ITEMS];
};

void vmcd_out_init(struct vmcd_out *out, VMEMcache *cache);
/* All that it has, pins as well, is given back. */
void vmcd_out_close(struct vmcd_out *out);

static inline bool
vmcd_out_is_full(const struct vmcd_out *out)
{
	return out->bytes >= VMCD_OUT_BYTES || out->items == VMCD_OUT_ITEMS;
}

/*
 * Room for so many bytes of text, of which vmcd_out_took() then says how many
 * were written. NULL: there is no memory, and the connection will be closed.
 */
char *vmcd_out_room(struct vmcd_out *out, size_t size);
void vmcd_out_took(struct vmcd_out *out, size_t size);
void vmcd_out_bytes(struct vmcd_out *out, const void *bytes, size_t size);
void vmcd_out_string(struct vmcd_out *out, const char *string);
void vmcd_out_number(struct vmcd_out *out, uint64_t number);
__attribute__((format(printf, 2, 3))) void vmcd_out_format(
	struct vmcd_out *out, const char *format, ...);

/*
 * The first place to pin an item into; all from there to the end are free.
 */
static inline struct vmemcache_item *
vmcd_out_slot(struct vmcd_out *out)
{
	return &out->item[out->items];
}
/*
 * Bytes [from, from + size) of the value that is pinned in a slot are to be
 * sent; the slots before it are then no longer free. Or they are copied, and
 * the item is unpinned. The output may not be full.
 */
void vmcd_out_pinned(struct vmcd_out *out, struct vmemcache_item *slot,
	size_t from, size_t size);
void vmcd_out_copied(struct vmcd_out *out, struct vmemcache_item *slot,
	size_t from, size_t size);

/* What comes next, as at most `most` pieces; how many. */
int vmcd_out_pieces(const struct vmcd_out *out, struct iovec *pieces, int most);
/* So many bytes were sent. */
void vmcd_out_sent(struct vmcd_out *out, size_t size);

/* Copy what is pinned, so that nothing is. false: there is no memory. */
bool vmcd_out_unpin(struct vmcd_out *out);

/* Copy bytes [from, from + size) of the value of a pinned item. */
void vmcd_copy_pinned(
	const struct vmemcache_item *item, size_t from, size_t size, char *to);

#endif

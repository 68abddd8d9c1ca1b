/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * order.h -- leaves in the order of their keys' bytes
 *
 * The order is that of memcmp(3), a key before all that it is a prefix of.
 * Leaves are opaque pointers below 2^48, at least 16-byte aligned; the caller
 * says what the key of one is. It must not change while a reader may hold the
 * leaf, so a leaf is freed by epoch (base/epoch.h) after it was removed.
 *
 * Any thread may call anything at any time. Walking takes no lock. Setting and
 * removing latch the one or two nodes that change (rank ORDER).
 */
#ifndef VMC_ORDER_H
#define VMC_ORDER_H

#include "base/epoch.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>

struct vmc_order;

struct vmc_order_key {
	const void *data;
	size_t size; /* up to UINT32_MAX */
};

typedef struct vmc_order_key vmc_order_key_fn(const void *leaf);

/* Memory that a thread has ready for its changes; all zero: none. */
#define VMC_ORDER_SIZES 3u
#define VMC_ORDER_STOCKED ((1u << VMC_ORDER_SIZES) - 1)

struct vmc_order_stock {
	void *node[VMC_ORDER_SIZES];
	unsigned has; /* a bit for each */
};

/*
 * memory needs retire. Its alloc fills stocks; how much of them is in use is
 * what set and remove return, less what was retired. -ENOMEM.
 */
int vmc_order_new(struct vmc_order **order, vmc_order_key_fn *key_of,
	const struct vmc_memory *memory);
/* At once: nobody may be using it. The leaves are left alone. */
void vmc_order_delete(struct vmc_order *order);

/* -ENOMEM: it is not complete. Not within an epoch. */
int vmc_order_stock(struct vmc_order *order, struct vmc_order_stock *stock);
void vmc_order_unstock(struct vmc_order *order, struct vmc_order_stock *stock);

/*
 * The leaf is there, in the place of one of the same key if there is such. Two
 * calls for one key must not be under way at once. The stock must be complete,
 * unless such a one is there, and may lack something then. Returns the bytes of
 * it that are in use now. Not within an epoch.
 */
size_t vmc_order_set(struct vmc_order *order, struct vmc_thread *thread,
	struct vmc_order_stock *stock, const void *leaf);

/*
 * This very leaf is not there any more, if it was. Returns the bytes of a node
 * that this has made smaller: what it takes now. Not within an epoch.
 */
size_t vmc_order_remove(
	struct vmc_order *order, struct vmc_thread *thread, const void *leaf);

/* True: go on. It must not change the order. */
typedef bool vmc_order_visit_fn(const void *leaf, void *arg);

/*
 * Visit leaves in order, from the first one whose key is not less than `from`
 * on; behind: is greater. Every leaf that is there during the whole call is
 * met, and of a key that is there the whole time, one leaf; the keys are met in
 * rising order. True: there are no more. False: visit has said so, or there may
 * be more behind the last one that was visited. In the caller's epoch, in which
 * it may look at the leaves.
 */
bool vmc_order_walk(struct vmc_order *order, struct vmc_order_key from,
	bool behind, vmc_order_visit_fn *visit, void *arg);

/*
 * Compare everything with what order.c states. 0, or -EINVAL with a message;
 * *count is how many leaves there are. For tests; no call may be under way.
 */
int vmc_order_check(struct vmc_order *order, uint64_t *count);

#endif

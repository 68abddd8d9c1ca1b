/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extra.h -- what an entry has only if it is used: version, expiry, tag, cost
 *
 *   ...key | (to a multiple of 8) | head | timer | tag | cost
 *
 * Behind the key bytes, of entries that say so (entry.h). The head has the
 * version in its low 56 bits, 0 if there is none, and above it which of the
 * other fields follow. So an entry that uses nothing takes no byte for it.
 * Immutable but for the timer, which is guarded by its wheel's latch
 * (expire.c).
 */
#ifndef VMC_EXTRA_H
#define VMC_EXTRA_H

#include "expiry/wheel.h"

#include <stddef.h>
#include <stdint.h>

enum vmc_extra_field {
	VMC_EXTRA_TIMER = 1,
	VMC_EXTRA_TAG = 2,
	VMC_EXTRA_COST = 4
};

#define VMC_EXTRA_VERSION_BITS 56

/* Of a value put before any call asked for versions. */
#define VMC_VERSION_NONE UINT64_C(1)

struct vmc_extra {
	uint64_t head;
	struct vmc_timer timer; /* if VMC_EXTRA_TIMER */
};

/* What a new entry is to have. */
struct vmc_extras {
	uint64_t version;  /* 0: none */
	bool expires;      /* it has a timer */
	uint64_t deadline; /* of that */
	uint32_t tag;      /* 0: none */
	uint32_t cost;     /* 0: none */
};

static inline unsigned
vmc_extras_fields(const struct vmc_extras *extras)
{
	return (extras->expires ? VMC_EXTRA_TIMER : 0) |
	       (extras->tag ? VMC_EXTRA_TAG : 0) |
	       (extras->cost ? VMC_EXTRA_COST : 0);
}

/* Where the tag is, or would be. */
static inline size_t
vmc_extra_tag_offset(unsigned fields)
{
	return fields & VMC_EXTRA_TIMER ? sizeof(struct vmc_extra)
					: offsetof(struct vmc_extra, timer);
}

/* The same of the cost. */
static inline size_t
vmc_extra_cost_offset(unsigned fields)
{
	return vmc_extra_tag_offset(fields) +
	       (fields & VMC_EXTRA_TAG ? sizeof(uint32_t) : 0);
}

static inline size_t
vmc_extra_size(unsigned fields)
{
	return vmc_extra_cost_offset(fields) +
	       (fields & VMC_EXTRA_COST ? sizeof(uint32_t) : 0);
}

static inline unsigned
vmc_extra_fields(const struct vmc_extra *extra)
{
	return (unsigned)(extra->head >> VMC_EXTRA_VERSION_BITS);
}

static inline uint64_t
vmc_extra_version(const struct vmc_extra *extra)
{
	uint64_t version =
		extra->head & ((UINT64_C(1) << VMC_EXTRA_VERSION_BITS) - 1);

	return version ? version : VMC_VERSION_NONE;
}

static inline uint32_t *
vmc_extra_tag_at(const struct vmc_extra *extra)
{
	return (uint32_t *)((uintptr_t)extra +
			    vmc_extra_tag_offset(vmc_extra_fields(extra)));
}

static inline uint32_t
vmc_extra_tag(const struct vmc_extra *extra)
{
	return vmc_extra_fields(extra) & VMC_EXTRA_TAG
		       ? *vmc_extra_tag_at(extra)
		       : 0;
}

static inline uint32_t *
vmc_extra_cost_at(const struct vmc_extra *extra)
{
	return (uint32_t *)((uintptr_t)extra +
			    vmc_extra_cost_offset(vmc_extra_fields(extra)));
}

static inline uint32_t
vmc_extra_cost(const struct vmc_extra *extra)
{
	return vmc_extra_fields(extra) & VMC_EXTRA_COST
		       ? *vmc_extra_cost_at(extra)
		       : 0;
}

/*
 * How far behind the beginning of an entry its head is, at least that far: 16
 * bits are enough to say so, 11 of them significant, of a number of words. The
 * mark of the timer says it, by which its entry is found.
 */
#define VMC_EXTRA_SIGNIFICANT 11u

static inline uint16_t
vmc_extra_mark(size_t bytes)
{
	uint64_t words = (bytes + 7) / 8;
	unsigned shift = 0;

	while (words >> VMC_EXTRA_SIGNIFICANT) {
		words = (words + 1) / 2;
		shift++;
	}
	return (uint16_t)(shift << VMC_EXTRA_SIGNIFICANT | words);
}

static inline size_t
vmc_extra_offset(uint16_t mark)
{
	uint64_t words = mark & ((1u << VMC_EXTRA_SIGNIFICANT) - 1);

	return (size_t)(words << (mark >> VMC_EXTRA_SIGNIFICANT)) * 8;
}

/* The offset that the mark for so many bytes says. */
static inline size_t
vmc_extra_offset_of(size_t bytes)
{
	/* that many are told to the word: the usual case */
	if (__builtin_expect(bytes <= (8u << VMC_EXTRA_SIGNIFICANT) - 8, 1))
		return (bytes + 7) & ~(size_t)7;
	return vmc_extra_offset(vmc_extra_mark(bytes));
}

static inline void
vmc_extra_fill(
	struct vmc_extra *extra, const struct vmc_extras *extras, uint16_t mark)
{
	unsigned fields = vmc_extras_fields(extras);

	extra->head = extras->version | (uint64_t)fields
						<< VMC_EXTRA_VERSION_BITS;
	if (fields & VMC_EXTRA_TIMER)
		vmc_timer_init(&extra->timer, extras->deadline, mark);
	if (fields & VMC_EXTRA_TAG)
		*vmc_extra_tag_at(extra) = extras->tag;
	if (fields & VMC_EXTRA_COST)
		*vmc_extra_cost_at(extra) = extras->cost;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extra.h -- what an entry has only if it is used: version, tag
 *
 *   ...key | (to a multiple of 8) | head | tag
 *
 * Behind the key bytes, of entries that say so (entry.h). The head has the
 * version in its low 56 bits, 0 if there is none, and above it which of the
 * other fields follow. So an entry that uses nothing takes no byte for it.
 */
#ifndef VMC_EXTRA_H
#define VMC_EXTRA_H

#include <stddef.h>
#include <stdint.h>

enum vmc_extra_field { VMC_EXTRA_TAG = 1 };

#define VMC_EXTRA_VERSION_BITS 56

/* Of all that has none: a value put before anybody asked for versions. */
#define VMC_VERSION_NONE UINT64_C(1)

struct vmc_extra {
	uint64_t head;
	uint32_t tag; /* if VMC_EXTRA_TAG */
};

/* What a new entry is to have. */
struct vmc_extras {
	uint64_t version; /* 0: none */
	uint32_t tag;     /* 0: none */
};

static inline unsigned
vmc_extras_fields(const struct vmc_extras *extras)
{
	return extras->tag ? VMC_EXTRA_TAG : 0;
}

static inline size_t
vmc_extra_size(unsigned fields)
{
	return offsetof(struct vmc_extra, tag) +
	       (fields & VMC_EXTRA_TAG ? sizeof(uint32_t) : 0);
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

static inline uint32_t
vmc_extra_tag(const struct vmc_extra *extra)
{
	return vmc_extra_fields(extra) & VMC_EXTRA_TAG ? extra->tag : 0;
}

static inline void
vmc_extra_fill(struct vmc_extra *extra, const struct vmc_extras *extras)
{
	unsigned fields = vmc_extras_fields(extras);

	extra->head = extras->version | (uint64_t)fields
						<< VMC_EXTRA_VERSION_BITS;
	if (fields & VMC_EXTRA_TAG)
		extra->tag = extras->tag;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publish.h -- caches whose statistics other processes can read
 */
#ifndef VMC_PUBLISH_H
#define VMC_PUBLISH_H

#include "publication.h"

struct vmemcache;

/*
 * Of one cache. All zero: it is not published. Guarded by a lock of publish.c,
 * but for what the last call on the cache leaves to the next.
 */
struct vmc_publisher {
	struct vmc_publication *object; /* NULL: there is none */
	unsigned mark;                  /* of the process whose it is */
	int fd;                         /* holds the lock of the file */
	uint64_t file[2];               /* that it is */
	char path[VMC_PUBLICATION_PATH_MAX];
	struct vmemcache *next;
	/* what the system told the last time that it was asked */
	uint64_t pool_huge_bytes, metadata_huge_bytes;
};

/*
 * Publish the cache, which is open and this process's, under that name, which
 * becomes its own. Negative errno: all is as it was.
 */
int vmc_publish(struct vmemcache *cache, const char *name);
/* In whatever process; does nothing to a cache that is not published. */
void vmc_withdraw(struct vmemcache *cache);
/* The cache has that name from now on, published or not. */
void vmc_rename(struct vmemcache *cache, const char *name);

#endif

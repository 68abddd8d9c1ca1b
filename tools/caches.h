/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caches.h -- the caches that processes of this machine publish
 */
#ifndef VMC_TOOLS_CACHES_H
#define VMC_TOOLS_CACHES_H

#include "publication.h"

enum top_state {
	TOP_RUNNING,
	TOP_LATE, /* its process is there, but stopped, or very slow */
	TOP_GONE,
};

struct top_cache {
	char file[VMC_PUBLICATION_PATH_MAX]; /* its name in the directory */
	enum top_state state;
	struct vmc_published published;
};

struct top_caches {
	struct top_cache *all; /* by name, then by file */
	size_t count;
	/* objects that are there, but are not shown */
	unsigned of_others; /* of users */
	unsigned of_other_versions;
};

/* Are patterns, NULL after the last, none, or is one of them for the name? */
bool top_is_wanted(const char *name, char *const *patterns);

/*
 * Fill in *caches, of which all was NULL or is from the last time: to be freed.
 * 0, or a negative errno: the directory cannot be read, or there is no memory.
 */
int top_caches_read(struct top_caches *caches, char *const *patterns);

/*
 * Remove the objects of processes that have gone, calling removed() for each:
 * its file, and the name of its cache, or NULL if that is not known. The first
 * negative errno, 0 if there was none.
 */
int top_clean(char *const *patterns,
	void (*removed)(const char *file, const char *name));

/* Per second in the time between the two samples; 0 if there is none. */
double top_rate(
	const struct vmc_published *published, uint64_t now, uint64_t before);

/* Some of stores: those of an outcome, of all modes. */
uint64_t top_stores(const struct vmemcache_statistics *statistics,
	enum vmemcache_outcome outcome);

#endif

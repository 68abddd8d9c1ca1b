/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.h -- the MEMKIND_* variables that concern every kind
 *
 * Read once, when the library starts; the ones about nodes are in nodes.c.
 */
#ifndef VMC_MEMKIND_SETTINGS_H
#define VMC_MEMKIND_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct vmc_settings {
	bool debug;                /* MEMKIND_DEBUG */
	bool hoard;                /* MEMKIND_HOG_MEMORY */
	bool tbb;                  /* MEMKIND_HEAP_MANAGER is TBB */
	unsigned arenas;           /* MEMKIND_ARENA_NUM_PER_KIND, 0: unset */
	size_t background_threads; /* MEMKIND_BACKGROUND_THREAD_LIMIT, same */
	/* the first variable that makes no sense: no kind can be made */
	const char *wrong;
};

const struct vmc_settings *vmc_settings(void);

/* The heap manager is not there. While the library starts. */
void vmc_settings_reject_manager(void);

/* A line on standard error, if MEMKIND_DEBUG asks for that. */
void vmc_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

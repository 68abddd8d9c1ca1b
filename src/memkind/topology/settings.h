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
	unsigned arenas;           /* MEMKIND_ARENA_NUM_PER_KIND, or 0 */
	size_t background_threads; /* MEMKIND_BACKGROUND_THREAD_LIMIT, or 0 */
};

const struct vmc_settings *vmc_settings(void);

/* The heap manager is not there: jemalloc. While the library starts. */
void vmc_settings_reject_manager(void);

/*
 * A line on standard error, if MEMKIND_DEBUG asks for that. It begins with
 * what level says: MEMKIND_INFO, MEMKIND_WARNING.
 */
void vmc_log_at(const char *level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define vmc_log(...) vmc_log_at("MEMKIND_INFO", __VA_ARGS__)
#define vmc_warn(...) vmc_log_at("MEMKIND_WARNING", __VA_ARGS__)

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * statistics_format.h -- statistics as text: for people, JSON, Prometheus
 */
#ifndef VMC_STATISTICS_FORMAT_H
#define VMC_STATISTICS_FORMAT_H

#include "libvmemcache.h"

/*
 * As snprintf(3): the length of all of it, of which at most size - 1 characters
 * are written. name: as vmemcache_set_name() takes it.
 */
size_t vmc_statistics_format(const struct vmemcache_statistics *statistics,
	const char *name, enum vmemcache_format format, char *buffer,
	size_t size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public_statistics.c -- the public calls that tell of a cache
 */
#include "base/cancel.h"
#include "public.h"
#include "statistics_format.h"

#include <string.h>

/* A cache without a medium has statistics as well, all 0. */
static bool
has_statistics(VMEMcache *cache)
{
	return cache &&
	       (!vmc_cache_is_open(cache) || vmc_is_usable(cache, NULL, 0));
}

VMC_EXPORT int
vmemcache_get_stat(VMEMcache *cache, enum vmemcache_statistic stat, void *value,
	size_t value_size)
{
	uint64_t n;
	int saved = errno;

	VMC_NO_CANCEL;
	if (!has_statistics(cache))
		return (int)vmc_result(vmc_why_unusable(cache));
	if (!value || value_size != sizeof(unsigned long long))
		return (int)vmc_result(vmc_fail(EINVAL,
			"a statistic needs a value of %zu bytes, not %zu",
			sizeof(unsigned long long), value ? value_size : 0));
	if (vmc_cache_stat(cache, stat, &n) != 0)
		return (int)vmc_result(
			vmc_fail(EINVAL, "unknown statistic %d", (int)stat));
	*(unsigned long long *)value = n;
	errno = saved; /* the system may not tell all of it */
	return 0;
}

VMC_EXPORT int
vmemcache_statistics(VMEMcache *cache, struct vmemcache_statistics *statistics)
{
	int saved = errno;

	VMC_NO_CANCEL;
	if (!has_statistics(cache))
		return (int)vmc_result(vmc_why_unusable(cache));
	if (!statistics || statistics->struct_size != sizeof(*statistics))
		return (int)vmc_result(vmc_fail_const(EINVAL,
			"statistics NULL, or of a struct_size that is not "
			"known"));
	vmc_cache_statistics(cache, statistics);
	errno = saved; /* the system may not tell all of it */
	return 0;
}

VMC_EXPORT ssize_t
vmemcache_format_statistics(VMEMcache *cache, enum vmemcache_format format,
	char *buffer, size_t size)
{
	struct vmemcache_statistics statistics;
	int saved = errno;

	VMC_NO_CANCEL;
	if (!has_statistics(cache))
		return vmc_result(vmc_why_unusable(cache));
	if ((unsigned)format > VMEMCACHE_FORMAT_PROMETHEUS)
		return vmc_result(
			vmc_fail(EINVAL, "unknown format %d", (int)format));
	if (!buffer && size > 0)
		return vmc_result(
			vmc_fail_const(EINVAL, "invalid (NULL) buffer"));
	vmc_cache_statistics(cache, &statistics);
	errno = saved;
	return (ssize_t)vmc_statistics_format(
		&statistics, cache->name, format, buffer, size);
}

/* No character needs more than a backslash before it, in any format. */
bool
vmc_is_name(const char *name)
{
	size_t length = strnlen(name, VMEMCACHE_NAME_MAX + 1);

	for (size_t i = 0; i < length; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return length > 0 && length <= VMEMCACHE_NAME_MAX;
}

int
vmc_fail_name(void)
{
	return vmc_fail(EINVAL, "a name has 1 to %d printable ASCII characters",
		VMEMCACHE_NAME_MAX);
}

VMC_EXPORT int
vmemcache_set_name(VMEMcache *cache, const char *name)
{
	if (!cache)
		return (int)vmc_result(vmc_why_unusable(cache));
	if (!name || !vmc_is_name(name))
		return (int)vmc_result(vmc_fail_name());
	vmc_rename(cache, name);
	return 0;
}

VMC_EXPORT int
vmemcache_publish(VMEMcache *cache, const char *name)
{
	int saved = errno, rc = 0;

	VMC_NO_CANCEL;
	if (!vmc_is_usable(cache, NULL, 0))
		return (int)vmc_result(vmc_why_unusable(cache));
	if (name && !vmc_is_name(name))
		return (int)vmc_result(vmc_fail_name());
	if (name)
		rc = vmc_publish(cache, name);
	else
		vmc_withdraw(cache);
	if (rc == 0)
		errno = saved;
	return (int)vmc_result(rc);
}

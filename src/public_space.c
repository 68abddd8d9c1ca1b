/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * public_space.c -- the public call that makes spaces: check the arguments,
 * translate. All other calls take spaces as well.
 */
#include "public.h"

#include "base/cancel.h"
#include "space.h"

static int
check_how(const struct vmemcache_space *how)
{
	if (how->struct_size != sizeof(*how))
		return vmc_fail(EINVAL,
			"struct vmemcache_space: unknown size %zu",
			how->struct_size);
	if (how->name && !vmc_is_name(how->name))
		return vmc_fail_name();
	return 0;
}

VMC_EXPORT VMEMcache *
vmemcache_new_space(VMEMcache *cache, const struct vmemcache_space *how)
{
	static const struct vmemcache_space defaults = {
		.struct_size = sizeof(defaults)};
	VMEMcache *space = NULL;
	int rc;

	VMC_NO_CANCEL;
	if (!how)
		how = &defaults;
	if (!vmc_is_usable(cache, NULL, 0))
		rc = vmc_why_unusable(cache);
	else if (vmc_is_space(cache))
		rc = vmc_fail_const(EINVAL, "a space has no spaces");
	else
		rc = check_how(how);
	if (rc == 0)
		rc = vmc_space_new(cache, how, &space);
	if (rc)
		errno = -rc;
	return space;
}

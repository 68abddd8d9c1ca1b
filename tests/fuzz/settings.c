/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.c -- fuzz target: the environment variables that concern every kind
 *
 * Its own copy of settings.c, which reads them once in the life of a process.
 */
#include "memkind/topology/settings.c"

#include "variables.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sections_read(data, size);
	settings = (struct vmc_settings){0};
	read_settings();
	if (settings.debug)
		fuzz_expect(strcmp(section("MEMKIND_DEBUG"), "1") == 0);
	if (settings.tbb)
		fuzz_expect(
			strcmp(section("MEMKIND_HEAP_MANAGER"), "TBB") == 0);
	sections_free();
	/* before anybody else looks at them */
	settings = (struct vmc_settings){0};
	return 0;
}

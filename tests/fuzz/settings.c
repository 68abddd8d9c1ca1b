/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settings.c -- fuzz target: the environment variables that concern every kind
 *
 * Its own copy of settings.c, which reads them once in the life of a process.
 */
#include "memkind/settings.c"

#include "variables.h"

static bool
is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"MEMKIND_HEAP_MANAGER",
		"MEMKIND_DEBUG", "MEMKIND_HOG_MEMORY",
		"MEMKIND_ARENA_NUM_PER_KIND", "MEMKIND_BACKGROUND_THREAD_LIMIT",
		NULL};

	sections_read(data, size);
	settings = (struct vmc_settings){0};
	read_settings();
	fuzz_expect(settings.arenas <= VMC_KIND_ARENAS);
	fuzz_expect(settings.background_threads <= 4096);
	if (settings.wrong) {
		fuzz_expect(is_one_of(settings.wrong, names));
		fuzz_expect(section(settings.wrong) != NULL);
	}
	sections_free();
	/* before anybody else looks at them */
	settings = (struct vmc_settings){0};
	return 0;
}

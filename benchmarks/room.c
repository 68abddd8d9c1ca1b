/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room.c -- how large a pool the machine can take
 *
 * Defaults are chosen for a machine with memory to spare; on a smaller one
 * (a container's /dev/shm is often 64 MiB) a benchmark that runs on a smaller
 * pool and says so is worth more than one that stops. A size that the user
 * gave is never changed.
 */
#include "room.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "report.h"

bool
bench_is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Bytes of memory that can be had without swapping. */
static uint64_t
memory_available(void)
{
	unsigned long long kib = UINT64_MAX >> 10;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	if (file == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	fclose(file);
	return (uint64_t)kib << 10;
}

size_t
bench_room(size_t wanted, unsigned mappings)
{
	struct statvfs fs;
	uint64_t space = memory_available();

	if (!bench_is_directory(bench.path) || statvfs(bench.path, &fs))
		return wanted;
	if (fs.f_bavail < space / fs.f_frsize)
		space = (uint64_t)fs.f_bavail * fs.f_frsize;
	space = space / 4 * 3 / mappings & ~(uint64_t)0xfffff;
	return space < wanted ? space : wanted;
}

size_t
bench_fit_pool(size_t given, size_t wanted, unsigned mappings)
{
	char less[24];
	char more[24];

	if (given != 0)
		return given;
	size_t room = bench_room(wanted, mappings);
	if (room < VMEMCACHE_MIN_POOL)
		bench_fail("%s has no room for a pool; another directory can "
			   "be given with --path",
			bench.path);
	if (room < wanted)
		error(0, 0,
			"the pool is %s instead of %s, for lack of room in "
			"%s; --path takes another directory",
			bench_human_bytes(less, (double)room),
			bench_human_bytes(more, (double)wanted), bench.path);
	return room;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench_space.c -- what a PMEM kind makes of the space of its file
 *
 * A file of 256 MiB, objects of 64 bytes to 4 KiB, all sizes equally likely.
 * In percent of the file, unless the name says otherwise:
 *
 * fill         payload at the first failure
 * refill       the same, after half was dropped and all replaced five times
 * payload      bytes asked for, in percent of what the file occupies, after
 *              60 % of the file were replaced twenty times
 * back_ms      from the last free until 90 % of the file are given back; none
 *              if that takes more than 12 s
 * back_cpu_ms  processor time of that, by all threads
 * left         what is occupied eight seconds after the last free
 *
 * and with MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE, which gives back at once:
 *
 * free_now_ns  a free, in nanoseconds, with the giving back in it
 * left_now     what is occupied right after the last one
 *
 * Memory goes back during other calls on the kind: while it waits, the program
 * allocates and frees an object a hundred times a second.
 */
#include "memkind_bench.h"

#include "memkind.h"
#include "random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE ((size_t)256 << 20)
#define MOST (FILE_SIZE / 64)

static memkind_t kind;
static void **objects;
static size_t *sizes;
static uint64_t state;

static void
print_percent(const char *name, double bytes, double of)
{
	printf("%s %f\n", name, bytes / of * 100);
}

/* Bytes behind the unnamed files that this process has open. */
static double
occupied(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	double bytes = 0;
	struct stat st;

	while ((entry = readdir(dir))) {
		if (fstat(atoi(entry->d_name), &st) == 0 &&
			S_ISREG(st.st_mode) && st.st_nlink == 0)
			bytes += (double)st.st_blocks * 512;
	}
	closedir(dir);
	return bytes;
}

/* Objects until there is no memory, or those many bytes; their bytes. */
static double
fill(double enough)
{
	double bytes = 0;

	for (size_t i = 0; i < MOST; i++)
		bytes += objects[i] ? (double)sizes[i] : 0;
	for (size_t i = 0; i < MOST && bytes < enough; i++) {
		if (objects[i])
			continue;
		sizes[i] = 64 + bench_random(&state) % 4033;
		objects[i] = memkind_malloc(kind, sizes[i]);
		if (!objects[i])
			break;
		*(volatile char *)objects[i] = 1;
		bytes += (double)sizes[i];
	}
	return bytes;
}

/* So many times, another object in the place of a random one. */
static void
churn(size_t count, size_t times)
{
	while (times-- > 0) {
		size_t at = bench_random(&state) % count;
		if (!objects[at])
			continue;
		memkind_free(kind, objects[at]);
		sizes[at] = 64 + bench_random(&state) % 4033;
		objects[at] = memkind_malloc(kind, sizes[at]);
	}
}

static size_t
count_objects(void)
{
	size_t count = MOST;

	while (count > 0 && !objects[count - 1])
		count--;
	return count;
}

/* All of them; how many there were. */
static size_t
free_all(void)
{
	size_t count = 0;

	for (size_t i = 0; i < MOST; i++) {
		count += objects[i] != NULL;
		memkind_free(kind, objects[i]);
		objects[i] = NULL;
	}
	return count;
}

static void
open_kind(const char *directory, memkind_mem_usage_policy policy)
{
	struct memkind_config *config = memkind_config_new();

	memkind_config_set_path(config, directory);
	memkind_config_set_size(config, FILE_SIZE);
	memkind_config_set_memory_usage_policy(config, policy);
	if (memkind_create_pmem_with_config(config, &kind) != 0)
		exit(1);
	memkind_config_delete(config);
}

static void
watch_giving_back(void)
{
	uint64_t start = bench_now();
	uint64_t cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
	double waited;
	bool back = false;

	do {
		usleep(10000);
		memkind_free(kind, memkind_malloc(kind, 100000));
		waited = (double)(bench_now() - start);
		if (back || occupied() > (double)FILE_SIZE / 10)
			continue;
		printf("back_ms %f\n", waited / 1e6);
		cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		printf("back_cpu_ms %f\n", (double)cpu / 1e6);
		back = true;
	} while (waited < (back ? 8e9 : 12e9));
	print_percent("left", occupied(), (double)FILE_SIZE);
}

void
memkind_bench_space(const char *directory)
{
	const double file = (double)FILE_SIZE;
	double bytes;
	uint64_t start;
	size_t count;

	objects = calloc(MOST, sizeof(*objects));
	sizes = calloc(MOST, sizeof(*sizes));
	state = 1;
	open_kind(directory, MEMKIND_MEM_USAGE_POLICY_DEFAULT);
	print_percent("fill", fill(2 * file), file);
	count = count_objects();
	for (size_t i = 0; i < count; i++) {
		if (bench_random(&state) & 1) {
			memkind_free(kind, objects[i]);
			objects[i] = NULL;
		}
	}
	churn(count, 5 * count);
	print_percent("refill", fill(2 * file), file);
	free_all();
	watch_giving_back();
	memkind_destroy_kind(kind);

	open_kind(directory, MEMKIND_MEM_USAGE_POLICY_DEFAULT);
	fill(0.6 * file);
	count = count_objects();
	churn(count, 20 * count);
	bytes = fill(0);
	print_percent("payload", bytes, occupied());
	free_all();
	memkind_destroy_kind(kind);

	open_kind(directory, MEMKIND_MEM_USAGE_POLICY_CONSERVATIVE);
	fill(0.6 * file);
	start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
	count = free_all();
	start = bench_clock(CLOCK_THREAD_CPUTIME_ID) - start;
	printf("free_now_ns %f\n", (double)start / (double)count);
	print_percent("left_now", occupied(), file);
	memkind_destroy_kind(kind);
	free(objects);
	free(sizes);
}

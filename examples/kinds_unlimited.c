/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_unlimited.c DIRECTORY -- a heap without a limit grows as it is used
 *
 * Space of the file system is reserved before memory is handed out. So a full
 * file system is an allocation that fails, and never a signal later.
 */
#include <memkind.h>

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1024 * 1024)
#define OBJECTS 48

static size_t
resident(memkind_t kind)
{
	size_t bytes = 0;

	memkind_update_cached_stats();
	memkind_get_stat(kind, MEMKIND_STAT_TYPE_RESIDENT, &bytes);
	return bytes;
}

int
main(int argc, char *argv[])
{
	void *objects[OBJECTS];
	memkind_t kind;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &kind) != 0) {
		fprintf(stderr, "usage: kinds_unlimited DIRECTORY\n");
		return 2;
	}
	size_t before = resident(kind);
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = memkind_malloc(kind, MIB);
		if (objects[i] == NULL) {
			fprintf(stderr, "the file system is full\n");
			return 1;
		}
		memset(objects[i], i, MIB);
	}
	printf("grew by %d MiB or more: %s\n", OBJECTS,
		resident(kind) - before >= OBJECTS * MIB ? "yes" : "no");
	for (int i = 0; i < OBJECTS; i++)
		memkind_free(kind, objects[i]);
	memkind_destroy_kind(kind);
	return 0;
}

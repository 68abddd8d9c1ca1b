/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tiers.c DIRECTORY -- one heap, whose bytes are in DRAM and in a file
 *
 * Four fifths of what is allocated are in the file, whatever the sizes are and
 * whatever is freed.
 */
#include <memkind_memtier.h>

#include <stdio.h>

#define OBJECTS 100000

int
main(int argc, char *argv[])
{
	struct memtier_builder *builder;
	struct memtier_memory *memory;
	static void *objects[OBJECTS];
	memkind_t file;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &file) != 0) {
		fprintf(stderr, "usage: tiers DIRECTORY\n");
		return 2;
	}
	builder = memtier_builder_new(MEMTIER_POLICY_STATIC_RATIO);
	if (!builder ||
		memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1) != 0 ||
		memtier_builder_add_tier(builder, file, 4) != 0)
		return 1;
	memory = memtier_builder_construct_memtier_memory(builder);
	memtier_builder_delete(builder);
	if (!memory)
		return 1;

	for (size_t i = 0; i < OBJECTS; i++) {
		objects[i] = memtier_malloc(memory, 16 + i % 1000);
		if (!objects[i])
			return 1;
	}
	printf("bytes in the file for each in DRAM: %.1f\n",
		(double)memtier_kind_allocated_size(file) /
			(double)memtier_kind_allocated_size(MEMKIND_DEFAULT));
	for (size_t i = 0; i < OBJECTS; i++)
		memtier_free(objects[i]);
	memtier_delete_memtier_memory(memory);
	memkind_destroy_kind(file);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_free_unknown.c DIRECTORY -- free objects without knowing their kind
 *
 * With NULL for the kind, memkind_free(), memkind_realloc() and
 * memkind_malloc_usable_size() find it by the address, in constant time.
 */
#include <memkind.h>

#include <stdio.h>

int
main(int argc, char *argv[])
{
	memkind_t pmem;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &pmem) != 0) {
		fprintf(stderr, "usage: kinds_free_unknown DIRECTORY\n");
		return 2;
	}
	void *objects[] = {
		memkind_malloc(pmem, 100),
		memkind_malloc(MEMKIND_DEFAULT, 100),
		memkind_malloc(MEMKIND_REGULAR, 100),
	};
	for (int i = 0; i < 3; i++) {
		void *larger = memkind_realloc(NULL, objects[i], 200);
		if (larger == NULL)
			return 1;
		memkind_free(NULL, larger);
	}
	printf("3 objects of 3 kinds freed\n");
	memkind_destroy_kind(pmem);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_usable_size.c DIRECTORY -- how much an allocation really takes
 *
 * Sizes are rounded up to a size class. The bytes up to the usable size may be
 * used, and are what counts against the limit of a kind.
 */
#include <memkind.h>

#include <stdio.h>

int
main(int argc, char *argv[])
{
	static const size_t sizes[] = {1, 100, 5000, 100000};
	memkind_t kind;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &kind) != 0) {
		fprintf(stderr, "usage: kinds_usable_size DIRECTORY\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *object = memkind_malloc(kind, sizes[i]);
		if (object == NULL)
			return 1;
		printf("%zu bytes take %zu\n", sizes[i],
			memkind_malloc_usable_size(kind, object));
		memkind_free(kind, object);
	}
	memkind_destroy_kind(kind);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* kinds.c DIRECTORY -- an object of each of two kinds, seen by a decorator */
#include <memkind.h>
#include <memkind_memtier.h>
#include <stdio.h>

static int seen;

void
memkind_malloc_post(memkind_t kind, size_t size, void **result)
{
	(void)kind, (void)size;
	seen += *result != NULL;
}

int
main(int argc, char *argv[])
{
	memkind_t kind;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &kind) != 0) {
		fprintf(stderr, "kinds: no PMEM kind\n");
		return 1;
	}
	memkind_free(MEMKIND_DEFAULT, memkind_malloc(MEMKIND_DEFAULT, 100));
	memkind_free(NULL, memkind_malloc(kind, 100));
	memtier_free(memtier_kind_malloc(kind, 100));
	memkind_destroy_kind(kind);
	return seen != 2;
}

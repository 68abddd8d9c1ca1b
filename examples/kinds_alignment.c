/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_alignment.c DIRECTORY -- allocations that begin at a multiple of a
 * power of two
 *
 * memkind_posix_memalign() returns its error and leaves errno alone, as
 * posix_memalign(3) does.
 */
#include <memkind.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

int
main(int argc, char *argv[])
{
	memkind_t kind;
	void *object;

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &kind) != 0) {
		fprintf(stderr, "usage: kinds_alignment DIRECTORY\n");
		return 2;
	}
	for (size_t alignment = 64; alignment <= 65536; alignment *= 32) {
		if (memkind_posix_memalign(kind, &object, alignment, 100) != 0)
			return 1;
		printf("%zu: %s\n", alignment,
			(uintptr_t)object % alignment == 0 ? "aligned" : "not");
		memkind_free(kind, object);
	}
	if (memkind_posix_memalign(kind, &object, 48, 100) == EINVAL)
		printf("48: no power of two\n");
	memkind_destroy_kind(kind);
	return 0;
}

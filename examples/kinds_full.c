/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_full.c DIRECTORY -- what happens when a heap of fixed size is full
 *
 * An allocation beyond the size returns NULL and sets errno to ENOMEM. The heap
 * stays usable: after a free there is room again.
 */
#include <memkind.h>

#include <errno.h>
#include <stdio.h>

#define MIB ((size_t)1024 * 1024)
#define OBJECTS 64

int
main(int argc, char *argv[])
{
	void *objects[OBJECTS];
	size_t count = 0;
	memkind_t kind;

	if (argc != 2 || memkind_create_pmem(argv[1], 32 * MIB, &kind) != 0) {
		fprintf(stderr, "usage: kinds_full DIRECTORY\n");
		return 2;
	}
	while (count < OBJECTS &&
		(objects[count] = memkind_malloc(kind, MIB)) != NULL)
		count++;
	if (count == 0 || count == OBJECTS || errno != ENOMEM)
		return 1;

	memkind_free(kind, objects[--count]);
	objects[count] = memkind_malloc(kind, MIB);
	printf("full after less than %d MiB: ENOMEM; after a free: %s\n",
		OBJECTS, objects[count] != NULL ? "room" : "no room");
	memkind_destroy_kind(kind); /* frees all that is left */
	return 0;
}

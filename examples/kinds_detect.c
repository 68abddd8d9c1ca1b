/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_detect.c DIRECTORY -- find out where an object is, and move it
 *
 * memkind_detect_kind() takes constant time. move() uses it to bring an object
 * that is needed often from persistent memory to DRAM.
 */
#include <memkind.h>

#include <stdio.h>
#include <string.h>

static memkind_t pmem;

static const char *
where(void *object)
{
	memkind_t kind = memkind_detect_kind(object);

	return kind == pmem              ? "PMEM"
	       : kind == MEMKIND_DEFAULT ? "DRAM"
					 : "elsewhere";
}

/* The object in the kind to, there already or copied; NULL: no memory. */
static void *
move(memkind_t to, void *object)
{
	memkind_t from = memkind_detect_kind(object);

	if (from == to)
		return object;
	size_t size = memkind_malloc_usable_size(from, object);
	void *copy = memkind_malloc(to, size);
	if (copy == NULL)
		return NULL;
	memcpy(copy, object, size);
	memkind_free(from, object);
	return copy;
}

int
main(int argc, char *argv[])
{
	if (argc != 2 || memkind_create_pmem(argv[1], 0, &pmem) != 0) {
		fprintf(stderr, "usage: kinds_detect DIRECTORY\n");
		return 2;
	}
	char *text = memkind_malloc(pmem, 32);
	if (text == NULL)
		return 1;
	strcpy(text, "often read");
	printf("%s: %s\n", text, where(text));
	text = move(MEMKIND_DEFAULT, text);
	if (text == NULL)
		return 1;
	printf("%s: %s\n", text, where(text));
	memkind_free(MEMKIND_DEFAULT, text);
	memkind_destroy_kind(pmem);
	return 0;
}

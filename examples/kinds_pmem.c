/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_pmem.c DIRECTORY -- a heap of fixed size, and one that is limited by
 * the file system alone
 *
 * Each PMEM kind is a heap in an unnamed file of the directory. The file is
 * gone when the process ends.
 */
#include <memkind.h>

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1024 * 1024)

static memkind_t
create(const char *directory, size_t max_size)
{
	char message[MEMKIND_ERROR_MESSAGE_SIZE];
	memkind_t kind;
	int err = memkind_create_pmem(directory, max_size, &kind);

	if (err == MEMKIND_SUCCESS)
		return kind;
	memkind_error_message(err, message, sizeof(message));
	fprintf(stderr, "%s: %s\n", directory, message);
	return NULL;
}

int
main(int argc, char *argv[])
{
	if (argc != 2) {
		fprintf(stderr, "usage: kinds_pmem DIRECTORY\n");
		return 2;
	}
	memkind_t fixed = create(argv[1], 32 * MIB);
	memkind_t growing = create(argv[1], 0); /* 0: no limit of its own */
	if (fixed == NULL || growing == NULL)
		return 1;

	char *first = memkind_malloc(fixed, 64);
	char *second = memkind_malloc(growing, 64);
	if (first == NULL || second == NULL)
		return 1;
	strcpy(first, "32 MiB at most");
	strcpy(second, "as much as the file system has");
	printf("%s; %s\n", first, second);

	memkind_free(fixed, first);
	memkind_free(growing, second);
	memkind_destroy_kind(fixed);
	memkind_destroy_kind(growing);
	return 0;
}

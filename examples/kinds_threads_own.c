/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_threads_own.c DIRECTORY -- each thread has a kind of its own
 *
 * A thread that ends destroys its kind, and with it all its objects at once:
 * nothing has to be freed one by one.
 */
#include <memkind.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 4
#define OBJECTS 1000

static void *
work(void *directory)
{
	memkind_t kind;
	size_t count = 0;

	if (memkind_create_pmem(directory, 0, &kind) != 0)
		return NULL;
	for (int i = 0; i < OBJECTS; i++) {
		char *object = memkind_malloc(kind, 256);
		if (object == NULL)
			break;
		memset(object, i, 256);
		count++;
	}
	memkind_destroy_kind(kind);
	return count == OBJECTS ? directory : NULL;
}

int
main(int argc, char *argv[])
{
	pthread_t threads[THREADS];
	int succeeded = 0;
	void *result;

	if (argc != 2) {
		fprintf(stderr, "usage: kinds_threads_own DIRECTORY\n");
		return 2;
	}
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, argv[1]) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		succeeded += result != NULL;
	}
	printf("%d threads, each with %d objects of its own kind\n", succeeded,
		OBJECTS);
	return succeeded != THREADS;
}

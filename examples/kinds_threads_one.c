/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kinds_threads_one.c DIRECTORY -- several threads share a kind
 *
 * Every call may be made from any thread at any time, without a lock of the
 * program's: here main() frees what the other threads have allocated. Only
 * memkind_destroy_kind() has to wait until all others are done with the kind.
 */
#include <memkind.h>

#include <pthread.h>
#include <stdio.h>

#define THREADS 4

static memkind_t kind;

static void *
work(void *number)
{
	char *text = memkind_malloc(kind, 64);

	if (text != NULL)
		snprintf(text, 64, "from thread %d", *(int *)number);
	return text;
}

int
main(int argc, char *argv[])
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	if (argc != 2 || memkind_create_pmem(argv[1], 0, &kind) != 0) {
		fprintf(stderr, "usage: kinds_threads_one DIRECTORY\n");
		return 2;
	}
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, work, &numbers[i]) != 0)
			return 1;
	}
	for (int i = 0; i < THREADS; i++) {
		void *text;
		pthread_join(threads[i], &text);
		if (text == NULL)
			return 1;
		printf("%s\n", (char *)text);
		memkind_free(kind, text);
	}
	memkind_destroy_kind(kind);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memkind_bench.c -- kinds beside malloc, jemalloc and Debian's memkind
 *
 *     memkind_bench [--csv | --json] [DIRECTORY [ROUNDS]]
 *
 * Every subject is a process of its own, started anew in each round, subjects
 * taking turns; the tables show the medians of the rounds, and the medians of
 * the ratios within a round. Times are the thread's own processor time, but for
 * "cross". The program is linked with our libmemkind; for the predecessor it is
 * started with that library preloaded, whose place it takes because the names
 * agree. The PMEM kind is made in DIRECTORY (/dev/shm), of 1 GiB.
 *
 * pair    allocate, touch, free: nanoseconds for all three
 * batch   the same for 1000 objects, all allocated before any is freed
 * churn   replace a random one of 20000 objects
 * cross   one thread allocates, another frees, both by the clock
 * x2      two threads doing it, nanoseconds for each
 * and of a file of 256 MiB, what memkind_bench_space.c says
 */
#include "memkind_bench.h"

#include "distance.h"
#include "memkind.h"
#include "options.h"
#include "random.h"
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREDECESSOR "/usr/lib/x86_64-linux-gnu/libmemkind.so.0"
#define JEMALLOC "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"

/* The engine alone, behind a library's border like the others. */
void *engine_malloc(size_t size);
void engine_free(void *ptr);

enum heap {
	HEAP_LIBC,
	HEAP_ENGINE,
	HEAP_DEFAULT,
	HEAP_REGULAR,
	HEAP_FIXED,
	HEAP_PMEM,
	HEAP_NULL
};

/* "NULL": freed without naming the kind. */
static const struct subject {
	struct bench_column column;
	const char *preload;
	enum heap heap;
} subjects[] = {
	{{"glibc", "glibc", BENCH_ONE_DIGIT}, "", HEAP_LIBC},
	{{"jemalloc", "jemalloc", BENCH_ONE_DIGIT}, JEMALLOC, HEAP_LIBC},
	{{"engine", "engine", BENCH_ONE_DIGIT}, "", HEAP_ENGINE},
	{{"default", "default", BENCH_ONE_DIGIT}, "", HEAP_DEFAULT},
	{{"regular", "regular", BENCH_ONE_DIGIT}, "", HEAP_REGULAR},
	{{"fixed", "fixed", BENCH_ONE_DIGIT}, "", HEAP_FIXED},
	{{"pmem", "pmem", BENCH_ONE_DIGIT}, "", HEAP_PMEM},
	{{"pmem_null", "pmem, NULL", BENCH_ONE_DIGIT}, "", HEAP_NULL},
	{{"old_default", "1.14 default", BENCH_ONE_DIGIT}, PREDECESSOR,
		HEAP_DEFAULT},
	{{"old_pmem", "1.14 pmem", BENCH_ONE_DIGIT}, PREDECESSOR, HEAP_PMEM},
	{{"old_pmem_null", "1.14 pmem, NULL", BENCH_ONE_DIGIT}, PREDECESSOR,
		HEAP_NULL},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

/* What is worth dividing by what, by the subjects' names. */
static const struct ratio {
	struct bench_column column;
	const char *of, *to;
} ratios[] = {
	{{"default_engine", "default/engine", BENCH_TWO_DIGITS}, "default",
		"engine"},
	{{"pmem_engine", "pmem/engine", BENCH_TWO_DIGITS}, "pmem", "engine"},
	{{"null_pmem", "NULL/pmem", BENCH_TWO_DIGITS}, "pmem_null", "pmem"},
	{{"old_default_default", "1.14 default/default", BENCH_TWO_DIGITS},
		"old_default", "default"},
	{{"old_pmem_pmem", "1.14 pmem/pmem", BENCH_TWO_DIGITS}, "old_pmem",
		"pmem"},
};
#define RATIOS (sizeof(ratios) / sizeof(ratios[0]))

static enum heap heap;
static memkind_t kind;

static inline void *
allocate(size_t size)
{
	switch (heap) {
	case HEAP_LIBC:
		return malloc(size);
	case HEAP_ENGINE:
		return engine_malloc(size);
	default:
		return memkind_malloc(kind, size);
	}
}

static inline void
release(void *ptr)
{
	switch (heap) {
	case HEAP_LIBC:
		free(ptr);
		break;
	case HEAP_ENGINE:
		engine_free(ptr);
		break;
	case HEAP_NULL:
		memkind_free(NULL, ptr);
		break;
	default:
		memkind_free(kind, ptr);
	}
}

static void *
must(void *ptr)
{
	if (!ptr)
		bench_fail("no memory");
	*(volatile char *)ptr = 1;
	return ptr;
}

static void
pair(size_t size)
{
	for (int i = 0; i < 300000; i++)
		release(must(allocate(size)));
}

static void
batch(size_t size)
{
	void *objects[1000];

	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 1000; i++)
			objects[i] = must(allocate(size));
		for (int i = 0; i < 1000; i++)
			release(objects[i]);
	}
}

static void
churn(size_t size)
{
	enum { LIVE = 20000 };
	void **objects = malloc(LIVE * sizeof(*objects));
	uint64_t state = (uintptr_t)&objects;

	for (int i = 0; i < LIVE; i++)
		objects[i] = must(allocate(size));
	for (int i = 0; i < 200000; i++) {
		void **object = &objects[bench_random(&state) % LIVE];
		release(*object);
		*object = must(allocate(size));
	}
	for (int i = 0; i < LIVE; i++)
		release(objects[i]);
	free(objects);
}

/* Each loop with the number of objects it counts. */
static const struct {
	const char *name;
	void (*run)(size_t size);
	double objects;
	size_t largest;
} loops[] = {
	{"pair", pair, 300000, 65536},
	{"batch", batch, 100000, 65536},
	{"churn", churn, 220000, 4096},
};
#define LOOPS (sizeof(loops) / sizeof(loops[0]))

struct share {
	size_t loop, size;
	double time;
};

static void *
run_loop(void *arguments)
{
	struct share *s = arguments;

	loops[s->loop].run(s->size); /* so that the pages are there */
	uint64_t start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
	loops[s->loop].run(s->size);
	s->time = (double)(bench_clock(CLOCK_THREAD_CPUTIME_ID) - start) /
		  loops[s->loop].objects;
	return NULL;
}

/* ---- Objects that one thread allocates and another frees ----------------
 *
 * Two threads, each pinned to a processor of its own, hand batches over, a few
 * of them ahead of each other. What counts is the time by the clock from the
 * first to the last call of a batch, so that waiting for a lock within malloc
 * or free counts, and waiting for the other's batch does not. Batches count if
 * the other thread finished one of its own in the meantime, that is, if both
 * were at work; the median leaves out those in which the thread lost the
 * processor.
 */

#define HANDED 1000
#define HANDED_BYTES ((size_t)4 << 20)
#define AHEAD 16
#define HANDED_BATCHES 600

static size_t handed_size;
static int handed_at_once; /* objects in one */

/* Each batch's number is its place; the numbers of those filled, and emptied */
static void *handed[AHEAD][HANDED];
static _Alignas(64) atomic_long filled;
static _Alignas(64) atomic_long emptied;

/* Nanoseconds an object, in the batches that count */
struct samples {
	size_t count;
	double values[HANDED_BATCHES];
};

static struct samples allocating, freeing;

/* A batch that took from start until now, when the other was at old. */
static void
sample(struct samples *samples, uint64_t start, atomic_long *other, long old)
{
	double time = (double)(bench_now() - start);

	if (atomic_load_explicit(other, memory_order_relaxed) != old)
		samples->values[samples->count++] = time / handed_at_once;
}

static void *
consume(void *unused)
{
	uint64_t start;
	long other;

	(void)unused;
	bench_pin(1);
	for (long i = 0; i < HANDED_BATCHES; i++) {
		do {
			other = atomic_load_explicit(
				&filled, memory_order_acquire);
		} while (other <= i && sched_yield() == 0);
		start = bench_now();
		for (int j = 0; j < handed_at_once; j++)
			release(handed[i % AHEAD][j]);
		sample(&freeing, start, &filled, other);
		atomic_store_explicit(&emptied, i + 1, memory_order_release);
	}
	return NULL;
}

static void *
produce(void *unused)
{
	uint64_t start;
	long other;

	(void)unused;
	bench_pin(0);
	for (long i = 0; i < HANDED_BATCHES; i++) {
		do {
			other = atomic_load_explicit(
				&emptied, memory_order_acquire);
		} while (i - other >= AHEAD && sched_yield() == 0);
		start = bench_now();
		for (int j = 0; j < handed_at_once; j++)
			handed[i % AHEAD][j] = must(allocate(handed_size));
		sample(&allocating, start, &emptied, other);
		atomic_store_explicit(&filled, i + 1, memory_order_release);
	}
	return NULL;
}

/*
 * Nanoseconds to allocate an object in one thread and free it in another; 0:
 * the two were never at work at once.
 */
static double
hand_over(size_t size)
{
	pthread_t producer, consumer;

	handed_size = size;
	handed_at_once = HANDED_BYTES / size < HANDED
				 ? (int)(HANDED_BYTES / size)
				 : HANDED;
	filled = emptied = 0;
	allocating.count = freeing.count = 0;
	pthread_create(&producer, NULL, produce, NULL);
	pthread_create(&consumer, NULL, consume, NULL);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	if (allocating.count == 0 || freeing.count == 0)
		return 0;
	return bench_median(allocating.values, allocating.count) +
	       bench_median(freeing.values, freeing.count);
}

/* ---- A subject ----------------------------------------------------- */

/* The kind of the subject; false: it cannot be had. */
static bool
open_kind(const char *directory)
{
	const size_t size = (size_t)1 << 30;

	switch (heap) {
	case HEAP_REGULAR:
		kind = MEMKIND_REGULAR;
		return memkind_check_available(kind) == 0;
	case HEAP_FIXED:
		return memkind_create_fixed(malloc(size), size, &kind) == 0;
	case HEAP_PMEM:
	case HEAP_NULL:
		return memkind_create_pmem(directory, size, &kind) == 0;
	default:
		kind = MEMKIND_DEFAULT;
		return true;
	}
}

static int
work(const struct subject *subject, const char *directory)
{
	static const size_t all[] = {64, 256, 1024, 4096, 16384, 65536};
	struct share shares[2];
	pthread_t other;

	heap = subject->heap;
	if (!open_kind(directory))
		return 1;
	for (size_t s = 0; s < sizeof(all) / sizeof(all[0]); s++) {
		for (size_t l = 0; l < LOOPS; l++) {
			if (all[s] > loops[l].largest)
				continue;
			shares[0] = shares[1] = (struct share){l, all[s], 0};
			run_loop(&shares[0]);
			printf("%s_%zu %f\n", loops[l].name, all[s],
				shares[0].time);
			pthread_create(&other, NULL, run_loop, &shares[1]);
			run_loop(&shares[0]);
			pthread_join(other, NULL);
			printf("%s_x2_%zu %f\n", loops[l].name, all[s],
				(shares[0].time + shares[1].time) / 2);
		}
		double time = hand_over(all[s]);
		if (time > 0)
			printf("cross_%zu %f\n", all[s], time);
		fflush(stdout);
	}
	if (heap == HEAP_PMEM) {
		memkind_destroy_kind(kind);
		memkind_bench_space(directory);
	}
	return 0;
}

/* ---- The parent ------------------------------------------------------- */

#define MOST_ROWS 64
#define MOST_ROUNDS 31

static struct row {
	char name[32];
	double values[SUBJECTS][MOST_ROUNDS]; /* by round; 0: none */
} rows[MOST_ROWS];
static size_t row_count;

static struct row *
row_of(const char *name)
{
	for (size_t i = 0; i < row_count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	if (row_count == MOST_ROWS)
		exit(2);
	snprintf(rows[row_count].name, sizeof(rows[0].name), "%s", name);
	return &rows[row_count++];
}

/* One process; a subject that crashes has no further values in this round. */
static void
run_subject(const char *self, size_t number, const char *directory, int round)
{
	const struct subject *subject = &subjects[number];
	char text[16], name[32];
	double value;
	int pipes[2];
	FILE *out;
	pid_t pid;

	if (subject->preload[0] && access(subject->preload, R_OK) != 0)
		return;
	if (pipe(pipes) != 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		dup2(pipes[1], 1);
		close(pipes[0]);
		if (subject->preload[0])
			setenv("LD_PRELOAD", subject->preload, 1);
		if (strcmp(subject->preload, PREDECESSOR) == 0)
			setenv("MEMKIND_HOG_MEMORY", "1", 1);
		snprintf(text, sizeof(text), "%zu", number);
		execl(self, self, "--work", text, directory, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	out = fdopen(pipes[0], "r");
	while (out && fscanf(out, "%31s %lf", name, &value) == 2)
		row_of(name)->values[number][round] = value;
	if (out)
		fclose(out);
	waitpid(pid, NULL, 0);
}

/* The median of what the rounds say of a, or of a / b; NAN of none. */
static double
median(const double *a, const double *b)
{
	double values[MOST_ROUNDS];
	size_t count = 0;

	for (int i = 0; i < MOST_ROUNDS; i++) {
		if (a[i] > 0 && (!b || b[i] > 0))
			values[count++] = b ? a[i] / b[i] : a[i];
	}
	return bench_median(values, count);
}

static const double *
values_of(const struct row *row, const char *subject)
{
	size_t i = 0;

	while (strcmp(subjects[i].column.name, subject) != 0)
		i++;
	return row->values[i];
}

static void
print_rows(const char *directory, int rounds)
{
	struct bench_report *r = bench_report_new("kinds");
	struct bench_column columns[SUBJECTS + 1] = {
		{"measured", "", BENCH_TEXT}};
	struct bench_column divided[RATIOS + 1] = {columns[0]};
	double cells[SUBJECTS];

	bench_setting(r, "path", directory);
	bench_setting_number(r, "rounds", (uint64_t)rounds);
	for (size_t s = 0; s < SUBJECTS; s++)
		columns[s + 1] = subjects[s].column;
	for (size_t s = 0; s < RATIOS; s++)
		divided[s + 1] = ratios[s].column;
	struct bench_table *results = BENCH_TABLE(r, "results", columns);
	struct bench_table *quotients = BENCH_TABLE(r, "ratios", divided);
	for (const struct row *row = rows; row < rows + row_count; row++) {
		for (size_t s = 0; s < SUBJECTS; s++)
			cells[s] = median(row->values[s], NULL);
		bench_row(results, row->name, cells, SUBJECTS);
		for (size_t s = 0; s < RATIOS; s++)
			cells[s] = median(values_of(row, ratios[s].of),
				values_of(row, ratios[s].to));
		bench_row(quotients, row->name, cells, RATIOS);
	}
	bench_report_print(r, stdout);
	bench_report_free(r);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--work") == 0)
		return work(&subjects[atoi(argv[2])], argv[3]);
	program_invocation_name = program_invocation_short_name;
	bench.csv = argc > 1 && strcmp(argv[1], "--csv") == 0;
	bench.json = argc > 1 && strcmp(argv[1], "--json") == 0;
	if (bench.csv || bench.json) {
		argc--;
		argv++;
	}
	const char *directory = argc > 1 ? argv[1] : "/dev/shm";
	int rounds = argc > 2 ? atoi(argv[2]) : 5;
	if (rounds < 1 || rounds > MOST_ROUNDS || access(directory, W_OK))
		bench_refuse("usage: [--csv | --json] [DIRECTORY [ROUNDS, 1 to "
			     "%d]]",
			MOST_ROUNDS);
	for (int round = 0; round < rounds; round++) {
		for (size_t s = 0; s < SUBJECTS; s++) {
			fprintf(stderr, "\rround %d of %d, %s\033[K", round + 1,
				rounds, subjects[s].column.heading);
			run_subject("/proc/self/exe", s, directory, round);
		}
	}
	fprintf(stderr, "\r\033[K");
	print_rows(directory, rounds);
	return 0;
}

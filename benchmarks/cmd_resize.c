/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmd_resize.c -- what a cache that gets larger and smaller costs its users
 *
 * Threads put new values and get what must be there, without a pause, while the
 * main thread resizes the cache. Every single operation is timed. Each round:
 *
 *   full --> grow --> full again --> shrink --> look for what fits --> still
 *
 * "Still" lasts as long as the two resizes of its round, and the main thread
 * copies memory meanwhile: so the threads have to share the processors as they
 * had while it resized, and what is longer there is the resize's.
 *
 * Which keys must be there. Each thread puts keys of its own, in order, and
 * gets some of the last ones. None runs far ahead of the others. So a value
 * that is got again is among the last quarter, by age, of what the small pool
 * holds. The last half is there whenever that pool is full, whatever the gets
 * did to the order: with them it is at most three quarters.
 *
 * Rejected: a crew (crew.h). It pauses between its slices, which are prepared,
 * and times seven eighths of them; the longest wait may be elsewhere.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "crew.h"
#include "progress.h"
#include "random.h"
#include "room.h"
#include "store.h"

static uint64_t pool;
static uint64_t times = 8;
static uint64_t threads = 2;
static uint64_t value = 1024;
static uint64_t rounds = 5;

/* What lies in two of them counts as in the later one. */
enum stage { UNCOUNTED, STILL, GROW, SHRINK, STAGES };

static const char *const stage_name[STAGES] = {
	[STILL] = "still", [GROW] = "grow", [SHRINK] = "shrink"};

/* SLACK: what a file may take beside its length, in bytes */
enum { SLACK = 2 << 20, MOST_TIMES = 1024, MOST_THREADS = 64 };
/* Until which memory may be given back; in vain on some file systems. */
static const uint64_t wait_ns = 10000000000;

struct worker {
	pthread_t thread;
	struct scene *scene;
	unsigned number;
	_Atomic uint64_t puts; /* that are done */
	/* the thread's, and the main thread's when that has ended */
	uint64_t random;
	char *value, *buffer;
	uint64_t failed[STAGES][2]; /* gets, puts */
	struct bench_histogram latency[STAGES][2];
};

struct scene {
	VMEMcache *cache;
	struct worker *workers;
	uint64_t held; /* values, by the small pool */
	_Atomic int stage;
	_Atomic bool over;
	double ns[STAGES][BENCH_MAX_ROUNDS];
	double back[BENCH_MAX_ROUNDS];
	uint64_t items[STAGES];
};

static const struct bench_column columns[] = {
	{"stage", "", BENCH_TEXT},
	{"ns", "time", BENCH_DURATION},
	{"back_ns", "back", BENCH_DURATION},
	{"items", "items", BENCH_WHOLE},
	{"gets", "gets", BENCH_WHOLE},
	{"missed", "missed", BENCH_WHOLE},
	{"get_p99_9_ns", "p99.9", BENCH_DURATION},
	{"get_max_ns", "max", BENCH_DURATION},
	{"puts", "puts", BENCH_WHOLE},
	{"refused", "refused", BENCH_WHOLE},
	{"put_p99_9_ns", "p99.9", BENCH_DURATION},
	{"put_max_ns", "max", BENCH_DURATION},
};

/* --- the threads --- */

static uint64_t
key_of(const struct worker *w, uint64_t number)
{
	return number * threads + w->number;
}

static uint64_t
puts_of(const struct worker *w)
{
	return atomic_load_explicit(&w->puts, memory_order_relaxed);
}

static bool
is_ahead(const struct worker *w)
{
	uint64_t least = UINT64_MAX;

	for (uint64_t i = 0; i < threads; i++) {
		uint64_t puts = puts_of(&w->scene->workers[i]);
		least = puts < least ? puts : least;
	}
	return puts_of(w) > least + w->scene->held / 16 / threads;
}

static bool
put_next(struct worker *w)
{
	uint64_t key = key_of(w, puts_of(w));

	memcpy(w->value, &key, sizeof(key));
	int rc = vmemcache_put(
		w->scene->cache, &key, sizeof(key), w->value, value);
	atomic_store_explicit(&w->puts, puts_of(w) + 1, memory_order_relaxed);
	return rc == 0;
}

static bool
get(struct worker *w, uint64_t number)
{
	uint64_t key = key_of(w, number);
	ssize_t n = vmemcache_get(
		w->scene->cache, &key, sizeof(key), w->buffer, value, 0, NULL);

	return n == (ssize_t)value && memcmp(w->buffer, &key, sizeof(key)) == 0;
}

/* One of the last quarter, or even the last one. */
static bool
get_late(struct worker *w)
{
	uint64_t some = w->scene->held / 4 / threads;
	uint64_t puts = puts_of(w);

	some = puts < some ? puts : some;
	return get(w, puts - 1 - bench_random_below(&w->random, some));
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct scene *s = w->scene;
	int last = atomic_load(&s->stage);
	uint64_t before = bench_now();

	while (!atomic_load_explicit(&s->over, memory_order_relaxed)) {
		bool put = puts_of(w) == 0 ||
			   (bench_random(&w->random) % 2 && !is_ahead(w));
		bool good = put ? put_next(w) : get_late(w);
		uint64_t after = bench_now();
		int now = atomic_load_explicit(&s->stage, memory_order_relaxed);
		int stage = last > now ? last : now;

		bench_histogram_record(&w->latency[stage][put], after - before);
		w->failed[stage][put] += !good;
		last = now;
		before = after;
	}
	return NULL;
}

static void
start(struct scene *s)
{
	atomic_store(&s->over, false);
	for (uint64_t i = 0; i < threads; i++) {
		int wrong = pthread_create(
			&s->workers[i].thread, NULL, work, &s->workers[i]);
		if (wrong)
			bench_fail("a thread: %s", strerror(wrong));
	}
}

static void
stop(struct scene *s)
{
	atomic_store(&s->over, true);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(s->workers[i].thread, NULL);
}

/* --- the main thread --- */

/* Values have been evicted, some of them by each thread. */
static void
wait_until_full(struct scene *s)
{
	uint64_t before = bench_statistic(s->cache, VMEMCACHE_STAT_EVICT);

	while (bench_statistic(s->cache, VMEMCACHE_STAT_EVICT) <
		before + s->held / 8)
		usleep(1000);
}

/* Bytes that the pool's file takes on its medium; of a device 0. */
static uint64_t
file_bytes(VMEMcache *cache)
{
	struct stat st;
	int fd;

	if (vmemcache_region(cache, NULL, NULL, &fd))
		bench_fail("region: %s", vmemcache_errormsg());
	if (fstat(fd, &st))
		bench_fail("fstat: %s", strerror(errno));
	close(fd);
	return (uint64_t)st.st_blocks * 512;
}

static void
resize(struct scene *s, enum stage stage, uint64_t size, unsigned round)
{
	atomic_store(&s->stage, (int)stage);
	uint64_t before = bench_now();
	if (vmemcache_resize(s->cache, size))
		bench_fail("resize: %s", vmemcache_errormsg());
	uint64_t after = bench_now();
	if (stage == SHRINK) {
		while (file_bytes(s->cache) > size + SLACK &&
			bench_now() - after < wait_ns)
			usleep(100);
		s->back[round] = (double)(bench_now() - after);
	}
	atomic_store(&s->stage, UNCOUNTED);
	s->ns[stage][round] = (double)(after - before);
}

static void
be_still(struct scene *s, unsigned round)
{
	double wanted = s->ns[GROW][round] + s->ns[SHRINK][round];
	static char copy[2][1 << 20];

	atomic_store(&s->stage, STILL);
	uint64_t before = bench_now(), after = before;
	for (; (double)(after - before) < wanted; after = bench_now())
		memcpy(copy[after % 2], copy[!(after % 2)], sizeof(copy[0]));
	atomic_store(&s->stage, UNCOUNTED);
	s->ns[STILL][round] = (double)(after - before);
}

static void
count_items(struct scene *s, enum stage stage)
{
	s->items[stage] = bench_statistic(s->cache, VMEMCACHE_STAT_ENTRIES);
}

/* Nothing is put meanwhile: what must be there is the last half. */
static void
look_for_what_fits(struct scene *s)
{
	for (uint64_t i = 0; i < threads; i++) {
		struct worker *w = &s->workers[i];
		uint64_t n = s->held / 2 / threads;

		while (n-- > 0)
			w->failed[SHRINK][0] += !get(w, puts_of(w) - 1 - n);
	}
}

static void
run_round(struct scene *s, unsigned round)
{
	double part = (double)round / (double)rounds;

	start(s);
	bench_progress(part, "grow");
	wait_until_full(s);
	resize(s, GROW, times * pool, round);
	wait_until_full(s);
	count_items(s, GROW);
	bench_progress(part, "shrink");
	resize(s, SHRINK, pool, round);
	stop(s);
	count_items(s, SHRINK);
	look_for_what_fits(s);
	bench_progress(part, "still");
	start(s);
	wait_until_full(s);
	be_still(s, round);
	stop(s);
	count_items(s, STILL);
}

static struct scene *
open_scene(void)
{
	struct scene *s = bench_zeroed(1, sizeof(*s));
	uint64_t blocks = (value + bench.extent - 1) / bench.extent;

	s->cache = bench_cache_configure(pool);
	if (vmemcache_set_most(s->cache, times * pool))
		bench_refuse("%llu times the pool: %s",
			(unsigned long long)times, vmemcache_errormsg());
	bench_cache_add(s->cache);
	/* but for what is kept free */
	s->held = pool / (blocks * bench.extent) / 64 * 63;
	s->workers = bench_zeroed(threads, sizeof(*s->workers));
	for (unsigned i = 0; i < threads; i++) {
		struct worker *w = &s->workers[i];

		w->scene = s;
		w->number = i;
		w->random = bench.seed + i;
		w->value = bench_zeroed(1, value);
		w->buffer = bench_zeroed(1, value);
	}
	return s;
}

static void
close_scene(struct scene *s)
{
	bench_cache_delete(s->cache);
	for (uint64_t i = 0; i < threads; i++) {
		free(s->workers[i].value);
		free(s->workers[i].buffer);
	}
	free(s->workers);
	free(s);
}

static void
add_row(struct scene *s, enum stage stage, struct bench_table *table)
{
	static struct bench_histogram h[2];
	uint64_t failed[2] = {0};
	double back = 0;

	memset(h, 0, sizeof(h));
	for (uint64_t i = 0; i < threads; i++) {
		for (int put = 0; put < 2; put++) {
			struct worker *w = &s->workers[i];

			bench_histogram_merge(&h[put], &w->latency[stage][put]);
			failed[put] += w->failed[stage][put];
		}
	}
	for (unsigned round = 0; round < rounds; round++)
		back = fmax(back, s->back[round]);
	BENCH_ROW(table, stage_name[stage], bench_median(s->ns[stage], rounds),
		stage == SHRINK ? back : NAN, (double)s->items[stage],
		(double)h[0].count, (double)failed[0],
		(double)bench_histogram_quantile(&h[0], 0.999),
		(double)h[0].max, (double)h[1].count, (double)failed[1],
		(double)bench_histogram_quantile(&h[1], 0.999),
		(double)h[1].max);
}

static void
run(struct bench_report *r, char **arguments)
{
	(void)arguments;
	if (times < 2 || times > MOST_TIMES)
		bench_refuse("--times is 2 to %d", MOST_TIMES);
	if (threads > MOST_THREADS)
		bench_refuse("--threads is 1 to %d", MOST_THREADS);
	if (value < sizeof(uint64_t))
		bench_refuse("--value is at least 8");
	pool = bench_fit_pool(pool, (size_t)1 << 30, (unsigned)times);
	if (value * threads > pool / 1024)
		bench_refuse("--pool is at least 1024 values for each thread");
	bench_setting_bytes(r, "pool", pool);
	bench_setting_bytes(r, "most", times * pool);
	bench_setting_common(r);
	bench_setting_bytes(r, "value", value);
	bench_setting_number(r, "threads", threads);
	bench_setting_number(r, "rounds", rounds);
	struct scene *s = open_scene();
	for (unsigned round = 0; round < rounds; round++)
		run_round(s, round);
	struct bench_table *table = BENCH_TABLE(r, "resize", columns);
	for (enum stage stage = STILL; stage < STAGES; stage++)
		add_row(s, stage, table);
	close_scene(s);
	bench_note(r,
		"time: of the call, the median of all rounds. back: after it, "
		"until the file is\nas small on its medium, the longest. "
		"items: "
		"in the full pool afterwards. Then\nsingle gets of what must "
		"be "
		"there, and puts. missed: did not find it; after a\nshrink all "
		"of that is looked for. still: in the small pool, beside a "
		"thread that\ncopies memory.");
}

static const struct bench_option options[] = {
	{"pool", 's', "SIZE", "the smaller size (default 1G)", bench_parse_size,
		&pool},
	{"times", 'n', "N", "as large is the larger one (default 8)",
		bench_parse_positive, &times},
	{"threads", 't', "N", "that get and put (default 2)",
		bench_parse_positive, &threads},
	{"value", 'v', "SIZE", "of all values (default 1K)", bench_parse_value,
		&value},
	{"rounds", 'r', "N", "at least 5 (default 5)", bench_parse_rounds,
		&rounds},
	{0},
};

const struct bench_command bench_resize = {
	.name = "resize",
	.summary = "what a cache that grows and shrinks costs its users",
	.help = "Makes a full cache larger and smaller again while threads get "
		"what must be there and put new values; tells how long that "
		"takes, the longest get and put beside it and without it, "
		"which of them failed, and whether all that fits is there "
		"afterwards.",
	.options = options,
	.evicts = true,
	.run = run,
};

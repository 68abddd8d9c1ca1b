/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefixes.c -- what a language model's service asks its cache for
 *
 * A line of the trace is a request, a JSON object whose hash_ids name blocks in
 * order. An id stands for its block and all that come before it, so only the
 * blocks up to the first that is missing are of use. A request pins these, and
 * those behind that are there; makes the others in place; and gives the pins
 * back when it is done with all. Other requests go on meanwhile.
 *
 * Each thread takes the next request of all. With one thread the misses are a
 * property of the policy.
 */
#include "prefixes.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "crew.h"
#include "progress.h"
#include "store.h"

static const struct bench_column columns[] = {
	{"pool_bytes", "pool", BENCH_BYTES},
	{"policy", "policy", BENCH_TEXT},
	{"threads", "threads", BENCH_WHOLE},
	{"requests", "requests", BENCH_WHOLE},
	{"blocks", "blocks", BENCH_WHOLE},
	{"hits", NULL, BENCH_WHOLE},
	{"hit_ratio", "hits", BENCH_THREE_DIGITS},
	{"miss_ratio", "misses", BENCH_THREE_DIGITS},
	{"leading_ratio", "leading", BENCH_THREE_DIGITS},
	{"refused", "refused", BENCH_WHOLE},
	{"pins_mean", "pins", BENCH_ONE_DIGIT},
	{"pins_most", "most", BENCH_WHOLE},
	{"requests_per_second", "requests/s", BENCH_WHOLE},
	{"ns_per_block", "ns/block", BENCH_WHOLE},
};

/* The blocks of request i are ids[starts[i]] to ids[starts[i + 1]]. */
struct trace {
	uint64_t *ids;
	size_t *starts;
	size_t requests, blocks, longest;
};

struct service {
	VMEMcache *cache;
	const struct trace *trace;
	uint64_t block;
	_Atomic size_t next; /* request */
	_Atomic uint64_t hits, leading, refused, pins, held, held_most;
};

bool
bench_prefixes_recognised(const char *path)
{
	FILE *file = fopen(path, "re");
	int first = file ? getc(file) : EOF;

	if (file)
		fclose(file);
	return first == '{';
}

static void
add_request(struct trace *t, const char *path, const char *line)
{
	json_error_t wrong;
	json_t *request = json_loads(line, 0, &wrong), *id;
	json_t *ids = json_object_get(request, "hash_ids");
	size_t n = json_array_size(ids), i;

	if (request == NULL)
		bench_refuse(
			"%s, line %zu: %s", path, t->requests + 1, wrong.text);
	if (n == 0)
		bench_refuse(
			"%s, line %zu: no hash_ids", path, t->requests + 1);
	/* twice as much at each power of two */
	if ((t->requests & (t->requests + 1)) == 0)
		t->starts = bench_realloc(
			t->starts, 2 * (t->requests + 1) * sizeof(*t->starts));
	t->ids = bench_realloc(t->ids, (t->blocks + n) * sizeof(*t->ids));
	t->starts[t->requests++] = t->blocks;
	json_array_foreach(ids, i, id)
	{
		if (!json_is_integer(id))
			bench_refuse("%s, line %zu: an id is no whole number",
				path, t->requests);
		t->ids[t->blocks++] = (uint64_t)json_integer_value(id);
	}
	if (n > t->longest)
		t->longest = n;
	json_decref(request);
}

static struct trace
read_trace(const char *path)
{
	FILE *file = fopen(path, "re");
	struct trace t = {0};
	size_t room = 0;
	char *line = NULL;

	if (file == NULL)
		bench_refuse("%s: %s", path, strerror(errno));
	while (getline(&line, &room, file) > 0)
		add_request(&t, path, line);
	if (ferror(file))
		bench_refuse("%s: %s", path, strerror(errno));
	t.starts =
		bench_realloc(t.starts, (t.requests + 1) * sizeof(*t.starts));
	t.starts[t.requests] = t.blocks;
	free(line);
	fclose(file);
	return t;
}

/* A block begins with its id; the rest is as good as any. */
static void
make(struct service *s, const uint64_t *id)
{
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .mode = VMEMCACHE_ADD};
	struct vmemcache_item item;

	if (vmemcache_reserve(
		    s->cache, id, sizeof(*id), s->block, &how, &item)) {
		if (errno != ENOSPC)
			bench_fail("reserve: %s", vmemcache_errormsg());
		atomic_fetch_add(&s->refused, 1);
		return;
	}
	for (int i = 0; i < item.iov_count; i++)
		memset(item.iov[i].iov_base, (int)*id, item.iov[i].iov_len);
	memcpy(item.iov->iov_base, id, sizeof(*id));
	/* another thread may have been faster */
	if (vmemcache_commit(s->cache, &item, s->block, NULL) &&
		errno != EEXIST)
		bench_fail("commit: %s", vmemcache_errormsg());
}

static void
note_held(struct service *s, uint64_t pins)
{
	uint64_t now = atomic_fetch_add(&s->held, pins) + pins;
	uint64_t most = atomic_load(&s->held_most);

	while (now > most &&
		!atomic_compare_exchange_weak(&s->held_most, &most, now))
		;
	atomic_fetch_add(&s->pins, pins);
}

static void
serve_request(struct service *s, const uint64_t *ids, size_t n,
	struct vmemcache_key *keys, struct vmemcache_item *items)
{
	for (size_t i = 0; i < n; i++)
		keys[i] = (struct vmemcache_key){&ids[i], sizeof(ids[i])};
	ssize_t leading =
		vmemcache_pin_many(s->cache, keys, n, VMEMCACHE_LEADING, items);
	size_t first = leading < 0 ? 0 : (size_t)leading;
	/* of no use to this request, but to keep what may be of use to others
	 */
	ssize_t others = vmemcache_pin_many(
		s->cache, keys + first, n - first, 0, items + first);
	if (leading < 0 || others < 0)
		bench_fail("pin_many: %s", vmemcache_errormsg());
	uint64_t pins = (uint64_t)(leading + others);
	atomic_fetch_add(&s->leading, first);
	atomic_fetch_add(&s->hits, pins);
	note_held(s, pins);
	for (size_t i = first; i < n; i++)
		if (items[i].iov_count < 0)
			make(s, &ids[i]);
	for (size_t i = 0; i < n; i++) {
		if (items[i].iov_count >= 0 &&
			memcmp(items[i].iov->iov_base, &ids[i],
				sizeof(ids[i])) != 0)
			bench_fail("a pinned block has other bytes");
		vmemcache_unpin(s->cache, &items[i]);
	}
	atomic_fetch_sub(&s->held, pins);
}

static void *
work(void *arg)
{
	struct service *s = arg;
	const struct trace *t = s->trace;
	struct vmemcache_key *keys = bench_zeroed(t->longest, sizeof(*keys));
	struct vmemcache_item *items = bench_zeroed(t->longest, sizeof(*items));
	size_t i;

	while ((i = atomic_fetch_add(&s->next, 1)) < t->requests)
		serve_request(s, &t->ids[t->starts[i]],
			t->starts[i + 1] - t->starts[i], keys, items);
	free(keys);
	free(items);
	return NULL;
}

static void
serve(const struct bench_prefixes *how, const struct trace *t, uint64_t pool,
	unsigned n_threads, struct bench_table *table)
{
	struct service s = {.cache = bench_cache_configure(pool),
		.trace = t,
		.block = how->block};
	double blocks = (double)t->blocks;
	pthread_t threads[64];

	bench_cache_add(s.cache);
	vmemcache_bench_set(s.cache, VMEMCACHE_BENCH_PREFAULT, 1);
	uint64_t from = bench_now();
	for (unsigned i = 0; i < n_threads; i++)
		if (pthread_create(&threads[i], NULL, work, &s))
			bench_fail("no thread: %s", strerror(errno));
	for (unsigned i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	double ns = (double)(bench_now() - from);
	BENCH_ROW(table, bench_policy_name(bench.policy), (double)pool,
		n_threads, (double)t->requests, blocks, (double)s.hits,
		(double)s.hits / blocks, 1 - (double)s.hits / blocks,
		(double)s.leading / blocks, (double)s.refused,
		(double)s.pins / (double)t->requests, (double)s.held_most,
		1e9 * (double)t->requests / ns, ns / blocks);
	bench_cache_delete(s.cache);
}

static int
compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How many different blocks the requests name. */
static size_t
count_blocks(const struct trace *t)
{
	uint64_t *sorted = bench_realloc(NULL, t->blocks * sizeof(*sorted));
	size_t n = 0;

	memcpy(sorted, t->ids, t->blocks * sizeof(*sorted));
	qsort(sorted, t->blocks, sizeof(*sorted), compare_ids);
	for (size_t i = 0; i < t->blocks; i++)
		n += i == 0 || sorted[i] != sorted[i - 1];
	free(sorted);
	return n;
}

/* Pools that hold so much of all blocks. */
static struct bench_list
pools_of_sizes(const struct bench_prefixes *how, const struct trace *t,
	const struct bench_sizes *sizes)
{
	const struct bench_sample all = {
		.blocks = (double)count_blocks(t), .unit = how->block};
	/* a block of the trace takes whole ones of the pool */
	const uint64_t taken =
		(how->block + bench.extent - 1) / bench.extent * bench.extent;
	struct bench_list pools = {0};

	for (; pools.n < sizes->n; pools.n++) {
		const struct bench_size *size = &sizes->at[pools.n];

		pools.at[pools.n] =
			size->percent > 0
				? (uint64_t)bench_blocks_of(&all, size) * taken
				: size->bytes;
		if (pools.at[pools.n] < taken)
			bench_refuse("%s is less than a block of %llu bytes",
				size->text, (unsigned long long)taken);
	}
	return pools;
}

void
bench_prefixes_run(const struct bench_prefixes *how, const char *path,
	const struct bench_list *fixed, const struct bench_sizes *sizes,
	struct bench_report *r)
{
	struct trace t = read_trace(path);
	const struct bench_list estimated = pools_of_sizes(how, &t, sizes);
	const struct bench_list *pools = fixed->n > 0 ? fixed : &estimated;
	size_t policies = bench.all_policies ? BENCH_POLICIES : 1;
	struct bench_table *table = BENCH_TABLE(r, "requests", columns);
	double runs = (double)(pools->n * policies * how->threads.n);
	double done = 0;

	for (size_t i = 0; i < pools->n * policies; i++) {
		if (bench.all_policies)
			bench.policy = bench_policies[i % policies];
		for (size_t k = 0; k < how->threads.n; k++) {
			serve(how, &t, pools->at[i / policies],
				(unsigned)how->threads.at[k], table);
			bench_progress(
				++done / runs, bench_policy_name(bench.policy));
		}
	}
	free(t.ids);
	free(t.starts);
	bench_note(r, "hits, misses: of all blocks. leading: those before the "
		      "first miss of their request.\nrefused: blocks for "
		      "which no room could be made. pins: of a request, and "
		      "most at once.\nns/block: wall time, all threads "
		      "together.");
}

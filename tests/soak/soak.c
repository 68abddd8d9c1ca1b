/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak.c [--hours N] [--minutes N] -- everything at once for a long time,
 * checked every minute
 *
 * A check stops the works, walks all caches, compares what they say is pinned
 * and reserved with what is held, and prints a line: minutes since the start,
 * memory of the process (anonymous and of pools), what the caches say they use,
 * open descriptors and mappings, and what was done. After a warm-up nothing may
 * grow: the last third of the lines is compared with the third before. Exits
 * with 1, and says what, at the first failure, or if something has grown.
 */
#include "process.h"
#include "soak.h"

#include <signal.h>

#define MEGABYTE 1048576.0

struct line {
	double anonymous, pools, metadata, mappings;
	int descriptors;
};

static unsigned long
failures(void)
{
	return vmc_load_relaxed(&testing_failures) + soak_failures();
}

static double
status_megabytes(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	char text[256];
	double kilobytes = 0;

	while (f && fgets(text, sizeof(text), f))
		if (strncmp(text, field, strlen(field)) == 0)
			kilobytes = strtod(text + strlen(field), NULL);
	if (f)
		fclose(f);
	return kilobytes / 1024;
}

static int
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int lines = 0, c;

	while (f && (c = fgetc(f)) != EOF)
		lines += c == '\n';
	if (f)
		fclose(f);
	return lines;
}

static double
stat_megabytes(struct soak *soak, enum vmemcache_statistic stat)
{
	double sum = 0;

	for (int i = 0; i < SOAK_CACHES; i++) {
		unsigned long long value = 0;
		vmemcache_get_stat(soak->cache[i], stat, &value, sizeof(value));
		sum += (double)value;
	}
	return sum / MEGABYTE;
}

static struct line
check(struct soak *soak, double minutes)
{
	pthread_rwlock_wrlock(&soak->gate);
	for (int i = 0; i < SOAK_CACHES; i++)
		if (vmc_cache_check(soak->cache[i]) != 0)
			testing_failed(
				__FILE__, __LINE__, vmemcache_errormsg());
	testing_expect(soak_holds_agree(soak));
	testing_expect(soak_tenants_are_whole());
	struct line l = {.anonymous = status_megabytes("RssAnon:"),
		.pools = stat_megabytes(soak, VMEMCACHE_STAT_POOL_SIZE_USED),
		.metadata = stat_megabytes(soak, VMEMCACHE_STAT_DRAM_SIZE_USED),
		.descriptors = process_descriptors(),
		.mappings = mappings() / 10.0};
	pthread_rwlock_unlock(&soak->gate);

	struct soak_counts *c = &soak_counts;
	printf("%7.1f min  rss %.1f  shared %.1f  pool %.1f  metadata %.2f MB"
	       "  runs a value %.2f  fds %d  maps %.0f  |  puts %.1f M  hits "
	       "%.1f M  misses %.1f M"
	       "  evicted %.1f M  nested %.1f M  caches %llu  kinds %llu"
	       "  forks %llu  threads %llu  pins %.2f M  reservations %.2f M"
	       "  loads %.2f M  clears %llu  resizes %llu\n",
		minutes, l.anonymous, status_megabytes("RssShmem:"), l.pools,
		l.metadata,
		stat_megabytes(soak, VMEMCACHE_STAT_EXTENTS) /
			stat_megabytes(soak, VMEMCACHE_STAT_ENTRIES),
		l.descriptors, 10 * l.mappings, (double)c->puts / 1e6,
		(double)c->hits / 1e6, (double)c->misses / 1e6,
		(double)c->evicted / 1e6, (double)c->depth / 1e6,
		(unsigned long long)c->lives, (unsigned long long)c->kinds,
		(unsigned long long)c->forks, (unsigned long long)c->threads,
		(double)c->pins / 1e6, (double)c->reservations / 1e6,
		(double)c->loads / 1e6, (unsigned long long)c->clears,
		(unsigned long long)c->resizes);
	fflush(stdout);
	return l;
}

static double
mean(const struct line *lines, unsigned count, size_t field)
{
	double sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += *(const double *)((const char *)&lines[i] + field);
	return sum / count;
}

/* Does the last third stay where the third before it was? */
static bool
is_flat(const struct line *lines, unsigned count)
{
	static const struct {
		const char *name;
		size_t field;
		double slack; /* what threads and children come and go with */
	} watched[] = {{"rss", offsetof(struct line, anonymous), 6},
		{"pool", offsetof(struct line, pools), 1},
		{"metadata", offsetof(struct line, metadata), 1},
		{"mappings / 10", offsetof(struct line, mappings), 1}};
	const struct line *last = &lines[count - count / 3];
	const struct line *before = last - count / 3;
	bool flat = true;

	if (count < 9) {
		printf("too short to tell whether memory stays flat\n");
		return true;
	}
	for (int i = 0; i < 4; i++) {
		double was = mean(before, count / 3, watched[i].field);
		double is = mean(last, count / 3, watched[i].field);
		bool grows = is > was * 1.03 + watched[i].slack;
		printf("%s: %.2f, then %.2f%s\n", watched[i].name, was, is,
			grows ? ": GROWS" : "");
		flat = flat && !grows;
	}
	if (lines[count - 1].descriptors != before->descriptors) {
		printf("descriptors: GROW\n");
		flat = false;
	}
	return flat;
}

static void
open_caches(struct soak *soak)
{
	static const size_t sizes[SOAK_CACHES] = {16 << 20, 32 << 20, 8 << 20};
	static const enum vmemcache_repl_p policies[SOAK_CACHES] = {
		VMEMCACHE_REPLACEMENT_LRU, VMEMCACHE_REPLACEMENT_ADAPTIVE,
		VMEMCACHE_REPLACEMENT_SIEVE};

	for (int i = 0; i < SOAK_CACHES; i++) {
		VMEMcache *cache = vmemcache_new();
		vmemcache_set_size(cache, sizes[i]);
		vmemcache_set_eviction_policy(cache, policies[i]);
		if (i == 2)
			vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM);
		if (vmemcache_add(cache, FIXTURE_DIR) != 0) {
			fprintf(stderr, "%s\n", vmemcache_errormsg());
			exit(1);
		}
		soak->cache[i] = cache;
	}
}

/* With everything evicted, nothing may be left of what the caches kept. */
static bool
is_empty_at_the_end(struct soak *soak)
{
	static const enum vmemcache_statistic stats[] = {VMEMCACHE_STAT_ENTRIES,
		VMEMCACHE_STAT_POOL_SIZE_USED, VMEMCACHE_STAT_DRAM_SIZE_USED,
		VMEMCACHE_STAT_EXTENTS};
	unsigned long long left = 0, value;

	soak_let_go();
	for (int i = 0; i < SOAK_CACHES; i++) {
		VMEMcache *cache = soak->cache[i];
		vmemcache_callback_on_evict(cache, NULL, NULL);
		while (vmemcache_evict(cache, NULL, 0) == 0)
			;
		for (int k = 0; k < 4; k++) {
			vmemcache_get_stat(
				cache, stats[k], &value, sizeof(value));
			left += value;
		}
	}
	printf("left when all was evicted: %llu\n", left);
	return left == 0;
}

static double
minutes_of(int argc, char *argv[])
{
	double minutes = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--hours") == 0)
			minutes += 60 * strtod(argv[i + 1], NULL);
		else if (strcmp(argv[i], "--minutes") == 0)
			minutes += strtod(argv[i + 1], NULL);
		else
			minutes = -1e9;
	}
	if (argc % 2 == 0 || minutes <= 0) {
		fprintf(stderr, "usage: soak [--hours N] [--minutes N]\n");
		exit(2);
	}
	return minutes;
}

int
main(int argc, char *argv[])
{
	double minutes = minutes_of(argc, argv);
	double every = minutes < 10 ? minutes / 10 : 1;
	unsigned count = (unsigned)(minutes / every + 0.5);
	struct line *lines = calloc(count, sizeof(*lines));
	struct soak soak = {.stop = false};
	pthread_t threads[SOAK_WORKS];

	if (!lines)
		return 1;
	pthread_rwlockattr_t attr;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&soak.gate, &attr);
	open_caches(&soak);
	soak_tenants_open();
	soak_prepare(&soak);
	soak_start(&soak, threads);
	for (unsigned i = 0; i < count && failures() == 0; i++) {
		usleep((useconds_t)(every * 60e6));
		lines[i] = check(&soak, (i + 1) * every);
	}
	vmc_store_relaxed(&soak.stop, true);
	for (int i = 0; i < SOAK_WORKS; i++)
		pthread_join(threads[i], NULL);
	check(&soak, count * every);
	/* caches that still fill are not flat */
	bool good = failures() == 0 && (every < 1 || is_flat(lines, count));
	good = is_empty_at_the_end(&soak) && good;
	for (int i = 0; i < SOAK_CACHES; i++)
		vmemcache_delete(soak.cache[i]);
	soak_tenants_close();
	free(lines);
	printf("%s\n", good ? "passed" : "FAILED");
	return !good;
}
